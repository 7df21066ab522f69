#include "jobs/bench/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "caravan/check.hpp"
#include "core/run/decoder.hpp"
#include "jobs/bench/forward_time.hpp"
#include "jobs/bench/read_rate.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/host_memory.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kPage = 16;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Of E experts those that are chosen by one of `tokens` at least, K by each.
double share_of_experts(double tokens, double experts, double top_k) {
  return 1 - std::pow(1 - top_k / experts, tokens);
}

/// Experts that a token chooses; 1 where there are none.
double top_k_of(const Model& model) {
  for (const LayerSpec& layer : model.layers())
    if (const Config& top_k = layer.config.find("top_k"); !top_k.is_null())
      return static_cast<double>(top_k.as_int());
  return 1;
}

double weight_bytes(const ParameterStore& parameters, double top_k, std::int64_t batch) {
  const auto& all = parameters.parameters();
  const bool has_head = std::any_of(
      all.begin(), all.end(), [](const auto& each) { return each->spec().kind == ParameterKind::head; });
  double elements = 0;
  for (const auto& parameter : all) {
    const Shape shape = parameter->shape();
    auto count = static_cast<double>(shape.count());
    if (parameter->spec().kind == ParameterKind::expert)
      count *= share_of_experts(static_cast<double>(batch), static_cast<double>(shape[0]), top_k);
    if (parameter->spec().kind == ParameterKind::embedding && has_head)
      count = static_cast<double>(batch * shape[1]);
    elements += count;
  }
  return elements * static_cast<double>(size_of(parameters.compute()));
}

/// Keys and values of so many positions of each sequence, or of its chunk: pages of one position hold no
/// more.
double cache_bytes(ModelInstance& model, std::int64_t batch, std::int64_t positions) {
  const CacheShape cache = cache_for(batch, positions, 1, model.stage().chunk_size());
  const StashLayout layout(model.stage().layers(), BatchShape{1, 1, Phase::decode, cache, model.compute()},
                           StashMode::inference, model.stage().width());
  return static_cast<double>(layout.bytes(StashLayout::session));
}

/// One batch size in the memory of a model.
class Measurement {
 public:
  Measurement(const DecodeBenchmark& benchmark, Device& device, ModelInstance& model, std::int64_t batch)
      : benchmark_(benchmark),
        device_(device),
        model_(model),
        batch_(batch),
        positions_(benchmark.context + benchmark.warmup + benchmark.steps + benchmark.profiled + 1),
        slots_(checked_plan().cache, model.stage().chunk_size()),
        decoder_(device, model.stage(), plan()) {
    for (std::int64_t slot = 0; slot < batch; ++slot)
      decoder_.begin(*slots_.take(positions_), {{.temperature = 0}, positions_, {}});
  }

  DecodeTiming run() {
    DecodeTiming timing{.batch = batch_};
    prefill(1);  // once for the walks and their memory
    timing.first_token_s = prefill(1);
    prefill(batch_);
    timing.prefill_s = prefill(batch_);
    if (benchmark_.forward) timing.forward_s = time_forward(device_, model_, batch_, benchmark_.context);
    timing.prefill_flops = model_.stage().forward_flops({batch_, benchmark_.context, Phase::evaluate});
    timing.step_bytes = weight_bytes(model_.parameters(), top_k_of(model_.model()), batch_) +
                        cache_bytes(model_, batch_, benchmark_.context + benchmark_.steps / 2);
    const auto bytes = static_cast<std::int64_t>(timing.step_bytes);
    const double before = measure_read_rate(device_, bytes);
    timing.step_s = median_step();
    timing.read_rate = std::max(before, measure_read_rate(device_, bytes));  // others may use the memory too
    if (benchmark_.profiled > 0) timing.profile = profile();
    return timing;
  }

 private:
  DecodePlan plan() const {
    DecodePlan plan;
    plan.cache = cache_for(batch_, positions_, kPage, model_.stage().chunk_size());
    plan.most_rows = std::max(batch_, std::min(piece_rows(device_), batch_ * benchmark_.context));
    plan.compute = model_.compute();
    plan.drawable = model_.stage().vocab_size();
    return plan;
  }

  /// The first to be asked: what keeps track of pages takes memory too.
  DecodePlan checked_plan() const {
    DecodePlan checked = plan();
    check_room(device_, Decoder::bytes(device_, model_.stage(), checked),
               fmt::format("decoding {} sequences of {} positions", batch_, positions_),
               "Fewer --batches, or less --context?");
    return checked;
  }

  /// Seconds until the first tokens behind the prompts of so many sequences are known.
  double prefill(std::int64_t sequences) {
    const std::int64_t chunk = model_.stage().chunk_size(), most = plan().most_rows;
    const auto start = Clock::now();
    std::vector<DecodeRow> rows;
    const auto post = [&] {
      decoder_.post(rows);
      decoder_.await();
      rows.clear();
    };
    for (std::int64_t slot = 0; slot < sequences; ++slot) {
      for (std::int64_t at = 0; at < benchmark_.context; ++at) {
        const bool ends_chunk = chunk > 0 && at > 0 && at % chunk == 0;
        if (std::ssize(rows) == most || (ends_chunk && !rows.empty())) post();
        rows.push_back({token(at + slot), static_cast<int>(slot), static_cast<std::int32_t>(at),
                        at + 1 == benchmark_.context});
      }
    }
    post();
    return seconds_since(start);
  }

  std::int32_t token(std::int64_t position) const {
    return static_cast<std::int32_t>(position * 7919 % model_.stage().vocab_size());
  }

  /// Where the device works while the host does something else, a step is posted before the last one is read.
  double median_step() {
    std::vector<DecodeRow> rows;
    for (std::int64_t slot = 0; slot < batch_; ++slot)
      rows.push_back(
          {token(slot), static_cast<int>(slot), static_cast<std::int32_t>(benchmark_.context), true});
    decoder_.post(rows);
    std::vector<double> seconds;
    auto last = Clock::now();
    for (std::int64_t step = 0; step < benchmark_.warmup + benchmark_.steps; ++step) {
      const bool is_ahead = device_.memory() == Memory::device;
      if (!is_ahead) decoder_.await();
      decoder_.post_again();
      if (is_ahead) decoder_.await();
      const auto now = Clock::now();
      if (step >= benchmark_.warmup) seconds.push_back(std::chrono::duration<double>(now - last).count());
      last = now;
    }
    decoder_.await();
    std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
    return seconds[seconds.size() / 2];
  }

  Profile profile() {
    device_.start_recording();
    for (int step = 0; step < benchmark_.profiled; ++step) {
      decoder_.post_again();
      decoder_.await();
    }
    return summarise(device_.stop_recording());
  }

  const DecodeBenchmark& benchmark_;
  Device& device_;
  ModelInstance& model_;
  std::int64_t batch_, positions_;
  CacheSlots slots_;
  Decoder decoder_;
};

}  // namespace

DecodeTimings time_decoding(const DecodeBenchmark& benchmark) {
  const auto registry = make_registry();
  const auto device = choose_device(*registry, benchmark.device);
  const Config config = resolve_model(benchmark.model);
  const std::string plugin =
      benchmark.model.find("plugin").is_null() ? "llama4" : benchmark.model.get_string("plugin");
  ModelInstance model(*registry, {device.get(), choose_precision(*device, benchmark.precision)}, plugin,
                      config,
                      benchmark.context + benchmark.warmup + benchmark.steps + benchmark.profiled + 1);
  model.allocate(ParameterStore::Content::weights, 0);
  model.parameters().initialise(1);
  DecodeTimings timings{
      device->description(), std::string(name_of(model.compute())), model.parameters().count(), {}};
  for (const std::int64_t batch : benchmark.batches)
    timings.batches.push_back(Measurement(benchmark, *device, model, batch).run());
  return timings;
}

}  // namespace caravan::jobs
