#include "jobs/evaluate/evaluation.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "caravan/check.hpp"
#include "core/run/train_step.hpp"
#include "io/files/byte_source.hpp"
#include "jobs/evaluate/divided_model.hpp"
#include "jobs/evaluate/evaluation_data.hpp"
#include "jobs/evaluate/padded_source.hpp"
#include "jobs/evaluate/sequences.hpp"
#include "jobs/forward/forward_pass.hpp"
#include "jobs/identity/agree.hpp"
#include "jobs/plan/tensor_rows.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

/// Of a run in training all ranks take the checkpoint that rank 0 finds to be the newest.
ModelSource open_on_all(const std::string& path, Communicator& world) {
  if (world.rank() != 0) return open_model(broadcast_text(world, ""));
  ModelSource source = open_model(path);
  broadcast_text(world, source.checkpoint.empty() ? path : source.checkpoint);
  return source;
}

void check_inputs(const EvaluateOptions& options, const Communicator& world) {
  for (const std::string& path : options.data.inputs)
    CARAVAN_CHECK(path != io::kStandardInput || world.size() == 1, ConfigError,
                  fmt::format("--data - on {} ranks (only one of them has standard input). A file, or one "
                              "rank?",
                              world.size()));
}

/// How many tokens an expert takes depends on how long a sequence is.
void check_capacity(const EvaluateOptions& options, const ModelSource& source) {
  const Config& factor = source.model.find("capacity_factor");
  CARAVAN_CHECK(!options.per_document || factor.is_null(), ConfigError,
                fmt::format("--per-document with model.capacity_factor={} (experts take the first tokens of "
                            "each sequence, as many as its length says, and sequences of documents are "
                            "filled up). Without --per-document?",
                            factor.is_null() ? "" : factor.text()));
}

BatchShare share_of(const EvaluateOptions& options, const Mesh& mesh) {
  BatchShare share{.local_batch = options.batch,
                   .data_rank = mesh.coordinate(MeshAxis::batch),
                   .data_ranks = mesh.degree(MeshAxis::batch),
                   .context_rank = mesh.coordinate(MeshAxis::cp),
                   .context_ranks = mesh.degree(MeshAxis::cp)};
  share.global_batch = share.local_batch * share.data_ranks;
  return share;
}

/// Measures what was set up.
class Measurement {
 public:
  Measurement(const LossRounds::Parts& parts, const CutData& data, bool shows_progress)
      : data_(data),
        padded_(*data.source, data.sequences),
        batch_(parts.share.local_batch),
        rounds_(parts, padded_),
        shows_progress_(shows_progress) {}

  void of_stream(Evaluation& found) {
    const std::int64_t batches = (data_.sequences + batch_ - 1) / batch_;
    rounds_.start();
    for_each_round(batches, [&](std::int64_t round) { rounds_.run(round, batches); });
    found.total = whole(rounds_.own());
  }

  /// Every round has at most one sequence of this rank, so what is measured in it is of one document.
  void of_documents(Evaluation& found) {
    const auto count = static_cast<std::size_t>(data_.documents->documents());
    std::vector<double> sums(3 * count, 0.0);
    LossSums total;
    for_each_round(data_.sequences, [&](std::int64_t round) {
      rounds_.start();
      rounds_.run(round, data_.sequences);
      const std::int64_t sample = rounds_.first_sample(round);
      if (sample >= data_.sequences) return;
      const LossSums own = rounds_.own();
      add(own, total);
      const auto at = 3 * static_cast<std::size_t>(data_.documents->document_of(sample));
      sums[at] += own.loss;
      sums[at + 1] += own.tokens;
      sums[at + 2] += own.bytes;
    });
    rounds_.sum_everywhere(sums);
    found.total = whole(total);
    for (std::size_t at = 0; at < count; ++at)
      found.documents.push_back({data_.documents->tokens_of(static_cast<std::int64_t>(at)), sums[3 * at],
                                 sums[3 * at + 1], sums[3 * at + 2]});
  }

 private:
  static void add(const LossSums& own, LossSums& total) {
    total.loss += own.loss;
    total.overflow += own.overflow;
    total.tokens += own.tokens;
    total.bytes += own.bytes;
  }

  LossSums whole(const LossSums& own) {
    std::array<double, 4> sums{own.loss, own.overflow, own.tokens, own.bytes};
    rounds_.sum_everywhere(sums);
    return {sums[0], sums[1], sums[2], sums[3]};
  }

  template <class Run>
  void for_each_round(std::int64_t batches, const Run& run) {
    const std::int64_t a_round = rounds_.microbatches_a_round(), rounds = (batches + a_round - 1) / a_round;
    ProgressLine line;
    for (std::int64_t round = 0; round < rounds; ++round) {
      run(round);
      const std::int64_t done = std::min((round + 1) * a_round * batch_, data_.sequences);
      if (shows_progress_) line.show(fmt::format("{} of {} sequences", done, data_.sequences));
    }
  }

  const CutData& data_;
  PaddedSource padded_;
  std::int64_t batch_;
  LossRounds rounds_;
  bool shows_progress_;
};

void check_finite(const LossSums& total) {
  CARAVAN_CHECK(total.overflow == 0, NumericalError, without_room(total.overflow));
  CARAVAN_CHECK(std::isfinite(total.loss), NumericalError,
                fmt::format("loss {} over {:.0f} tokens (not finite). Are the weights finite? `caravan "
                            "inspect CHECKPOINT --stats` counts what is not",
                            total.loss, total.tokens));
}

/// Where ranks compute.
struct Ranks {
  Ranks(const EvaluateOptions& options, Communicator& world)
      : registry(make_registry()),
        device(choose_device(*registry, options.device)),
        compute(choose_precision(*device, options.precision)),
        mesh(make_mesh(world, options.degrees, *device)) {}

  std::unique_ptr<Registry> registry;
  Made<Device> device;
  DType compute;
  std::unique_ptr<Mesh> mesh;
};

Evaluation nothing_measured(const Ranks& ranks, const CutData& data, const EvaluationData& read) {
  return {.sequences = data.sequences,
          .length = data.source->sequence_length(),
          .left_out = data.left_out,
          .knows_bytes = !read.token_bytes.empty(),
          .device = std::string(ranks.device->name()),
          .precision = ranks.compute == DType::f32 ? "fp32" : "bf16",
          .layout = ranks.mesh->layout().describe()};
}

void measure(const EvaluateOptions& options, const LossRounds::Parts& parts, const CutData& data,
             Evaluation& found) {
  Measurement measurement(parts, data, parts.mesh.rank() == 0);
  const auto start = Clock::now();
  options.per_document ? measurement.of_documents(found) : measurement.of_stream(found);
  found.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  check_finite(found.total);
}

}  // namespace

Evaluation evaluate(const EvaluateOptions& options, Communicator& world) {
  check_inputs(options, world);
  const ModelSource source = open_on_all(options.model, world);
  check_capacity(options, source);
  const std::int64_t most_length = sequence_length(options, source);
  const Ranks ranks(options, world);
  Mesh& mesh = *ranks.mesh;
  EvaluationData read = open_evaluation_data(options, source);
  const CutData data = cut(options, std::move(read.tokens), most_length, filled_to(mesh));
  agree_on_data(world, *data.source, "data to evaluate");
  const std::int64_t length = data.source->sequence_length();
  const BatchShape shape =
      BatchShape{options.batch, length, Phase::evaluate, {}, ranks.compute}.divided_over(&mesh);
  const BatchShare share = share_of(options, mesh);
  check_tensor_rows(shape, share, "--tensor");
  DividedModel model(source, *ranks.registry, {ranks.device.get(), ranks.compute, &mesh}, length,
                     options.per_document ? 1 : mesh.degree(MeshAxis::pp));
  Evaluation found = nothing_measured(ranks, data, read);
  measure(options,
          {.device = *ranks.device,
           .model = model.instance(),
           .mesh = mesh,
           .plan = model.plan(),
           .shape = shape,
           .share = share,
           .vocab_size = source.model.get_int("vocab_size"),
           .token_bytes = read.token_bytes},
          data, found);
  return found;
}

}  // namespace caravan::jobs
