#include <array>
#include <functional>
#include <limits>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/plugin.hpp"

// Dispatchers of host memory for tests of layers: what arrives is in no way what was sent. Each expert's rows
// come backwards, between rows of zeros, and nothing moves before it is waited for. Whatever is not written
// is not a number.
namespace caravan::testing {
namespace {

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kNowhere = -1;

/// Where the experts of these rows are, and who multiplies by the scores.
struct Manner {
  const char *name, *summary;
  bool weights_travel = false;  ///< scores are applied to received rows, from Received::weights
  bool second_half = false;     ///< only the second half of the experts is here; rows of the others are lost
  std::int64_t room = -1;       ///< rows that may come; negative: all
};

/// The rows of zeros before and after an expert's own.
std::int64_t padding_of(std::int64_t expert) {
  return 1 + expert % 3;
}

float& at(const TensorView& view, std::int64_t row, std::int64_t column) {
  return view.as<float>()[row * view.stride(0) + column];
}

void fill(const TensorView& rows, float value) {
  for (std::int64_t r = 0; r < rows.extent(0); ++r) {
    for (std::int64_t h = 0; h < rows.extent(1); ++h) at(rows, r, h) = value;
  }
}

double dot(const TensorView& a, std::int64_t row, const TensorView& b, std::int64_t other) {
  double sum = 0;
  for (std::int64_t h = 0; h < a.extent(1); ++h) sum += double{at(a, row, h)} * at(b, other, h);
  return sum;
}

/// What the handle holds of each choice: its received row, and room for the gradient of its score.
struct Handle {
  std::int32_t* place;
  float* dweight;

  Handle(const Received& received, const Routing& routing)
      : place(received.handle.as<std::int32_t>()),
        dweight(reinterpret_cast<float*>(place + routing.choice_of.count())) {}
  static std::size_t bytes(std::int64_t choices) { return static_cast<std::size_t>(choices) * 8; }
};

template <const Manner& kManner>
class ShuffledDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = kManner.name;
  static constexpr const char* kSummary = kManner.summary;
  static constexpr std::array<caravan_param, 0> kParams{};

  ShuffledDispatcher(const Host&, const Config&) {}

  DispatchNeeds needs(const DispatchSpec& spec) const override {
    const std::int64_t first = kManner.second_half ? spec.experts / 2 : 0, held = spec.experts - first;
    const std::int64_t choices = spec.shape.rows() * spec.top_k;
    return {.local_experts = held,
            .first_expert = first,
            .most_received = kManner.room < 0 ? choices + 6 * held : kManner.room,
            .handle_bytes = Handle::bytes(choices),
            .weights_travel = kManner.weights_travel};
  }

  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    if (!run.device.computes()) return {};
    fill(received.rows, kPoison);
    return post([=, this, &run, makes_handle = run.makes_kept()] {
      if (makes_handle) give_places(run, routing, received);
      write_offsets(routing, received);
      zero_padding(received);
      for_each_choice(routing, received, [&](std::int64_t t, std::int64_t k, std::int64_t row) {
        if (kManner.weights_travel) received.weights.as<float>()[row] = at(routing.weights, t, k);
        const float weight = weight_on(ScoreSide::input, routing, received, t, k, row);
        for (std::int64_t h = 0; h < x.extent(1); ++h) at(received.rows, row, h) = weight * at(x, t, h);
      });
    });
  }

  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override {
    if (!run.device.computes()) return {};
    return post([=, this] {
      for (std::int64_t t = 0; t < args.y.extent(0); ++t) {
        for (std::int64_t h = 0; h < args.y.extent(1); ++h) {
          const double base = args.base.empty() ? 0 : at(args.base, t, h);
          at(args.y, t, h) =
              static_cast<float>(base + gather(ScoreSide::output, routing, received, args.rows, t, h));
        }
      }
    });
  }

  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    if (!run.device.computes()) return {};
    fill(received.rows, kPoison);
    return post([=, this] {
      zero_padding(received);
      for_each_choice(routing, received, [&](std::int64_t t, std::int64_t k, std::int64_t row) {
        const float weight = weight_on(ScoreSide::output, routing, received, t, k, row);
        for (std::int64_t h = 0; h < args.dy.extent(1); ++h)
          at(received.rows, row, h) = weight * at(args.dy, t, h);
        if (routing.score_side != ScoreSide::output) return;
        const auto choice = t * routing.experts.extent(1) + k;
        Handle(received, routing).dweight[choice] = static_cast<float>(dot(args.dy, t, args.rows, row));
      });
    });
  }

  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    if (!run.device.computes()) return {};
    return post([=, this] {
      for (std::int64_t t = 0; t < args.dx.extent(0); ++t) {
        for (std::int64_t h = 0; h < args.dx.extent(1); ++h) {
          const double before = args.accumulate ? at(args.dx, t, h) : 0;
          at(args.dx, t, h) =
              static_cast<float>(before + gather(ScoreSide::input, routing, received, received.rows, t, h));
        }
      }
      fill(args.dweights, 0);
      for_each_choice(routing, received, [&](std::int64_t t, std::int64_t k, std::int64_t row) {
        const auto choice = t * routing.experts.extent(1) + k;
        at(args.dweights, t, k) = routing.score_side == ScoreSide::output
                                      ? Handle(received, routing).dweight[choice]
                                      : static_cast<float>(dot(args.x, t, received.rows, row));
      });
    });
  }

  void wait(Run&, Ticket& ticket) override {
    posted_.at(ticket.id() - 1)();
    ticket = Ticket{};
  }

 private:
  Ticket post(std::function<void()> finish) {
    posted_.push_back(std::move(finish));
    return Ticket(posted_.size());
  }

  static std::int64_t first_expert(const Routing& routing) {
    return kManner.second_half ? (routing.offsets.count() - 1) / 2 : 0;
  }
  static bool is_sent(const Routing& routing, std::int64_t choice) {
    const bool is_here = routing.experts.as<std::int32_t>()[choice] >= first_expert(routing);
    return is_here && routing.row_of.as<std::int32_t>()[choice] >= 0;
  }

  /// Received row of an expert's n-th choice: backwards, after its padding.
  void give_places(Run& run, const Routing& routing, const Received& received) const {
    const std::int32_t* first = routing.offsets.as<std::int32_t>();
    std::int64_t begin = 0, lost = 0;
    for (std::int64_t e = first_expert(routing); e + 1 < routing.offsets.count(); ++e) {
      const std::int64_t own = first[e + 1] - first[e];
      for (std::int64_t n = 0; n < own; ++n) {
        std::int64_t row = begin + padding_of(e) + own - 1 - n;
        if (row >= received.rows.extent(0)) row = kNowhere, ++lost;
        const std::int32_t choice = routing.choice_of.as<std::int32_t>()[first[e] + n];
        Handle(received, routing).place[choice] = static_cast<std::int32_t>(row);
      }
      begin += own + 2 * padding_of(e);
    }
    *run.overflow.as<double>() += static_cast<double>(lost);
  }

  void write_offsets(const Routing& routing, const Received& received) const {
    const std::int32_t* first = routing.offsets.as<std::int32_t>();
    std::int32_t* to = received.offsets.as<std::int32_t>();
    to[0] = 0;
    for (std::int64_t e = first_expert(routing); e + 1 < routing.offsets.count(); ++e, ++to) {
      const std::int64_t end = to[0] + first[e + 1] - first[e] + 2 * padding_of(e);
      to[1] = static_cast<std::int32_t>(std::min(end, received.rows.extent(0)));
    }
  }

  /// Every row that some expert's product reads, before choices fill theirs.
  void zero_padding(const Received& received) const {
    fill(received.rows.rows(0, received.offsets.as<std::int32_t>()[received.offsets.count() - 1]), 0);
  }

  template <class Visit>
  static void for_each_choice(const Routing& routing, const Received& received, const Visit& visit) {
    const std::int64_t top_k = routing.experts.extent(1);
    for (std::int64_t choice = 0; choice < routing.choice_of.count(); ++choice) {
      const std::int64_t t = choice / top_k, k = choice % top_k;
      if (!is_sent(routing, choice)) continue;
      if (const std::int64_t row = Handle(received, routing).place[choice]; row != kNowhere) visit(t, k, row);
    }
  }

  static float weight_on(ScoreSide side, const Routing& routing, const Received& received, std::int64_t t,
                         std::int64_t k, std::int64_t row) {
    if (routing.score_side != side) return 1;
    return kManner.weights_travel ? received.weights.as<float>()[row] : at(routing.weights, t, k);
  }

  /// Σ_k of the token's rows, in column h; NaN where a row had no room.
  double gather(ScoreSide side, const Routing& routing, const Received& received, const TensorView& rows,
                std::int64_t t, std::int64_t h) const {
    double sum = 0;
    for (std::int64_t k = 0; k < routing.experts.extent(1); ++k) {
      const std::int64_t choice = t * routing.experts.extent(1) + k;
      if (!is_sent(routing, choice)) continue;
      const std::int64_t row = Handle(received, routing).place[choice];
      if (row == kNowhere) return kPoison;
      sum += double{weight_on(side, routing, received, t, k, row)} * at(rows, row, h);
    }
    return sum;
  }

  std::vector<std::function<void()>> posted_;
};

constexpr Manner kShuffled{"shuffled", "Rows in another order, scores applied where they are sent"};
constexpr Manner kWeighed{"weighed", "Rows in another order, scores applied where they arrive", true};
constexpr Manner kHalf{"half", "Holds the second half of the experts, loses other rows", true, true};
constexpr Manner kCramped{"cramped", "Has room for ten rows", false, false, 10};

}  // namespace
}  // namespace caravan::testing

CARAVAN_PLUGIN("dispatch-shuffled", CARAVAN_VERSION, "Apache-2.0", "Dispatchers for tests",
               caravan::component<caravan::testing::ShuffledDispatcher<caravan::testing::kShuffled>>(),
               caravan::component<caravan::testing::ShuffledDispatcher<caravan::testing::kWeighed>>(),
               caravan::component<caravan::testing::ShuffledDispatcher<caravan::testing::kHalf>>(),
               caravan::component<caravan::testing::ShuffledDispatcher<caravan::testing::kCramped>>());
