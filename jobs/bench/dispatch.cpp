#include "jobs/bench/dispatch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "caravan/arena.hpp"
#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/dispatch.hpp"
#include "jobs/bench/choices.hpp"
#include "jobs/bench/median.hpp"
#include "jobs/bench/timed_together.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/process_mesh.hpp"

namespace caravan::jobs {
namespace {

MeshLayout experts_over_all(const DispatchBenchmark& benchmark, int ranks) {
  CARAVAN_CHECK(
      benchmark.experts % ranks == 0 && benchmark.top_k <= benchmark.experts, ConfigError,
      fmt::format(
          "--experts {} with --top-k {} on {} ranks (each rank has the same number of experts, and a token "
          "goes to different ones). A multiple of {}, and not below --top-k?",
          benchmark.experts, benchmark.top_k, ranks, ranks));
  return MeshLayout({.dp_shard = ranks, .ep = ranks}, ranks);
}

/// One dispatcher with the memory that a layer would give it.
class Bench {
 public:
  Bench(const DispatchBenchmark& benchmark, Communicator& world)
      : benchmark_(benchmark),
        world_(world),
        registry_(make_registry()),
        device_(choose_device(*registry_, benchmark.device, Config::map())),
        mesh_(parallel::make_process_mesh(world, experts_over_all(benchmark, world.size()), *device_)),
        chosen_(choose_dispatcher(Host::of(*registry_, device_.get(), nullptr, mesh_.get()),
                                  Config::parse(benchmark.dispatch, "--dispatch"))),
        compute_(choose_precision(*device_, benchmark.precision)),
        needs_(chosen_.made->needs(spec())),
        memory_(*device_, bytes(), "rows") {
    CARAVAN_CHECK(
        needs_.local_experts * world.size() == benchmark.experts, ConfigError,
        fmt::format("dispatch {} on {} ranks (it keeps {} of {} experts on each, so there is nothing to "
                    "measure between them). One rank, or another dispatcher?",
                    chosen_.name, world.size(), needs_.local_experts, benchmark.experts));
    take(memory_);
    fill_inputs();
  }

  std::string dispatcher() const { return chosen_.name; }
  std::string precision() const { return std::string(name_of(compute_)); }
  std::string device() const { return device_->description(); }
  std::int64_t row_bytes() const { return benchmark_.width * static_cast<std::int64_t>(size_of(compute_)); }

  DispatchTiming time(RoutingKind kind) {
    const Choices choices = make_choices(kind, sizes(), world_.rank());
    upload(choices);
    device_->fill_zero(Lane::compute, overflow_.data, overflow_.bytes());
    DispatchTiming timing{kind, to_others(choices), received(choices)};
    std::vector<double> times[4];
    for (std::int64_t repeat = -1; repeat < benchmark_.repeats; ++repeat) {
      const std::array<double, 4> seconds = round();
      for (std::size_t exchange = 0; exchange < 4 && repeat >= 0; ++exchange)
        times[exchange].push_back(seconds[exchange]);
    }
    timing.without_room = rows_without_room();
    timing.dispatch_s = median(times[0]);
    timing.combine_s = median(times[1]);
    timing.combine_gradient_s = median(times[2]);
    timing.dispatch_gradient_s = median(times[3]);
    return timing;
  }

  /// Bytes a second that a rank sends in a plain exchange of equal blocks, those of even routing.
  double link_rate() {
    const int ranks = world_.size();
    if (ranks == 1) return 0;
    const std::int64_t block = std::max<std::int64_t>(benchmark_.tokens * benchmark_.top_k / ranks, 1);
    Arena arena(*device_, 2 * static_cast<std::size_t>(block * ranks * row_bytes()) + 2 * Arena::kAlignment,
                "plain rows");
    const TensorView in = arena.take(compute_, {block * ranks, benchmark_.width}),
                     out = arena.take(compute_, {block * ranks, benchmark_.width});
    upload_numbers(*device_, random_numbers(in.count(), world_.rank()), in);
    Communicator& group = mesh_->group(MeshAxis::ep).tensors;
    std::vector<double> times;
    for (std::int64_t repeat = -1; repeat < benchmark_.repeats; ++repeat) {
      const double seconds = seconds_of([&] {
        Ticket ticket = group.post_all_to_all(in, out);
        group.wait(ticket);
      });
      if (repeat >= 0) times.push_back(seconds);
    }
    return static_cast<double>(block * (ranks - 1) * row_bytes()) / median(times);
  }

 private:
  DispatchSpec spec() const {
    return {.experts = benchmark_.experts,
            .top_k = benchmark_.top_k,
            .width = benchmark_.width,
            .score_side = benchmark_.scores_on_output ? ScoreSide::output : ScoreSide::input,
            .shape = {1, benchmark_.tokens, Phase::train, {}, compute_}};
  }
  ChoiceSizes sizes() const { return {benchmark_.tokens, benchmark_.top_k, benchmark_.experts}; }

  std::size_t bytes() {
    checked_product({{"--tokens", benchmark_.tokens}, {"--top-k", benchmark_.top_k}}, kMostRows,
                    "choices of a rank");
    checked_product({{"received rows", needs_.most_received}}, kMostRows, "rows of experts");
    Arena counted = Arena::measuring("rows");
    take(counted);
    return counted.used() + Arena::kAlignment;
  }
  void take(Arena& arena) {
    const std::int64_t T = benchmark_.tokens, K = benchmark_.top_k, H = benchmark_.width;
    const auto raw = [&](std::size_t size) {
      return arena.take(DType::u8, {static_cast<std::int64_t>(size)});
    };
    x_ = arena.take(compute_, {T, H});
    y_ = arena.take(compute_, {T, H});
    routing_ = {arena.take(DType::i32, {T, K}),
                arena.take(DType::f32, {T, K}),
                arena.take(DType::i32, {benchmark_.experts + 1}),
                arena.take(DType::i32, {T, K}),
                arena.take(DType::i32, {T * K}),
                spec().score_side};
    received_ = {arena.take(compute_, {needs_.most_received, H}),
                 arena.take(DType::f32, {needs_.most_received}),
                 arena.take(DType::i32, {needs_.local_experts + 1}), raw(needs_.handle_bytes),
                 raw(needs_.scratch_bytes)};
    if (needs_.keeps_order) received_.offsets = routing_.offsets;
    dweights_ = arena.take(DType::f32, {T, K});
    overflow_ = arena.take(DType::f64, {1});
  }

  /// Random numbers, since zeros cost less of a GPU's energy.
  void fill_inputs() {
    const std::vector<float> numbers = random_numbers(x_.count(), world_.rank());
    upload_numbers(*device_, numbers, x_);
    device_->synchronize();
  }
  void upload(const Choices& choices) {
    const auto copy = [&](const auto& from, const TensorView& to) {
      device_->copy_from_host(Lane::compute, to.data, from.data(), to.bytes());
    };
    copy(choices.experts, routing_.experts);
    copy(choices.weights, routing_.weights);
    copy(choices.offsets, routing_.offsets);
    copy(choices.row_of, routing_.row_of);
    copy(choices.choice_of, routing_.choice_of);
    device_->synchronize();
  }

  std::int64_t largest(std::int64_t value) {
    world_.all_reduce(TensorView(&value, DType::i64, {1}), ReduceOp::max);
    return value;
  }
  std::int64_t to_others(const Choices& choices) {
    const std::int64_t local = needs_.local_experts, first = needs_.first_expert;
    const auto at = [&](std::int64_t expert) { return choices.offsets[static_cast<std::size_t>(expert)]; };
    return largest(at(benchmark_.experts) - (at(first + local) - at(first)));
  }
  std::int64_t received(const Choices& choices) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(world_.size()));
    for (std::size_t rank = 0; rank < rows.size(); ++rank) {
      const std::size_t local = static_cast<std::size_t>(needs_.local_experts);
      rows[rank] = choices.offsets[(rank + 1) * local] - choices.offsets[rank * local];
    }
    world_.all_reduce(TensorView(rows.data(), DType::i64, {static_cast<std::int64_t>(rows.size())}),
                      ReduceOp::sum);
    return *std::max_element(rows.begin(), rows.end());
  }

  double rows_without_room() {
    double rows = 0;
    device_->copy_to_host(Lane::compute, &rows, overflow_.data, sizeof rows);
    device_->synchronize();
    world_.all_reduce(TensorView(&rows, DType::f64, {1}), ReduceOp::sum);
    return rows;
  }

  /// Seconds of `work`, of several in a row: what a host takes to begin the first one and to see the last one
  /// end belongs to no exchange.
  template <class Work>
  double seconds_of(const Work& work) {
    constexpr int kInARow = 8;
    return timed_together(*device_, world_,
                          [&] {
                            for (int each = 0; each < kInARow; ++each) work();
                          }) /
           kInARow;
  }

  /// The four exchanges of a micro-batch; experts give back what they get. The second of a pair is what both
  /// take in turn beyond the first, so that ranks meet as often as in a step.
  std::array<double, 4> round() {
    Dispatcher& dispatcher = *chosen_.made;
    Run run{.device = *device_, .ops = device_->ops(), .shape = spec().shape, .overflow = overflow_};
    const bool on_output = benchmark_.scores_on_output;
    const auto dispatch = [&] { return dispatcher.post_dispatch(run, routing_, received_, x_); };
    const auto combine = [&] {
      return dispatcher.post_combine(run, routing_, received_, {received_.rows, {}, y_});
    };
    const auto combine_gradient = [&] {
      return dispatcher.post_combine_gradient(run, routing_, received_,
                                              {x_, on_output ? received_.rows : TensorView{}, dweights_});
    };
    const auto dispatch_gradient = [&] {
      return dispatcher.post_dispatch_gradient(run, routing_, received_,
                                               {.x = x_, .dx = y_, .dweights = dweights_});
    };
    const auto seconds = [&](const auto&... posts) {
      const auto one = [&](const auto& post) {
        Ticket ticket = post();
        dispatcher.wait(run, ticket);
      };
      return seconds_of([&] { (one(posts), ...); });
    };
    const double first = seconds(dispatch), both = seconds(dispatch, combine),
                 first_back = seconds(combine_gradient),
                 both_back = seconds(combine_gradient, dispatch_gradient);
    return {first, both - first, first_back, both_back - first_back};
  }

  const DispatchBenchmark& benchmark_;
  Communicator& world_;
  std::unique_ptr<Registry> registry_;
  Made<Device> device_;
  std::unique_ptr<Mesh> mesh_;
  ChosenDispatcher chosen_;
  DType compute_;
  DispatchNeeds needs_;
  Arena memory_;
  TensorView x_, y_, dweights_, overflow_;
  Routing routing_;
  Received received_;
};

}  // namespace

const char* name_of(RoutingKind kind) {
  constexpr const char* kNames[] = {"even", "dealt", "skewed"};
  return kNames[static_cast<std::size_t>(kind)];
}

DispatchTimings time_dispatch(const DispatchBenchmark& benchmark, Communicator& world) {
  Bench bench(benchmark, world);
  DispatchTimings timings{bench.device(),    bench.precision(), bench.dispatcher(),
                          bench.row_bytes(), bench.link_rate(), {}};
  for (const RoutingKind kind : {RoutingKind::even, RoutingKind::dealt, RoutingKind::skewed})
    timings.routings.push_back(bench.time(kind));
  return timings;
}

}  // namespace caravan::jobs
