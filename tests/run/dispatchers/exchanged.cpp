#include <algorithm>
#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/error.hpp"
#include "caravan/host.hpp"
#include "caravan/mesh.hpp"
#include "caravan/plugin.hpp"

// Experts spread over the ranks of an expert group, by the simplest exchange that there is: blocks of one
// size with a slot for every choice, whether it goes to that rank or not. For tests, in host memory.
namespace caravan::testing {
namespace {

constexpr float kNoExpert = -1;

/// Messages to or from every rank, [ranks, R, 1 + H] f32: a number and a row for each choice of the sender.
struct Messages {
  TensorView all;
  std::int64_t choices, width;

  float* slot(std::int64_t rank, std::int64_t choice) const {
    return all.as<float>() + (rank * choices + choice) * (1 + width);
  }
  static std::int64_t elements(std::int64_t ranks, std::int64_t choices, std::int64_t width) {
    return ranks * choices * (1 + width);
  }
};

class ExchangedDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "exchanged";
  static constexpr const char* kSummary = "An equal share of the experts on each rank of the expert group";
  static constexpr std::array<caravan_param, 0> kParams{};

  ExchangedDispatcher(const Host& host, const Config&)
      : group_(host.mesh->group(MeshAxis::ep).tensors), ranks_(group_.size()) {}

  DispatchNeeds needs(const DispatchSpec& spec) const override {
    if (spec.shape.compute != DType::f32) throw ConfigError("dispatch exchanged moves rows of fp32 alone");
    const std::int64_t choices = spec.shape.rows() * spec.top_k, held = spec.experts / ranks_;
    const auto all = static_cast<std::size_t>(ranks_ * choices);
    return {.local_experts = held,
            .first_expert = held * group_.rank(),
            .most_received = ranks_ * choices,
            .handle_bytes = all * (sizeof(std::int32_t) + sizeof(float)),
            .scratch_bytes = 2 * sizeof(float) *
                             static_cast<std::size_t>(Messages::elements(ranks_, choices, spec.width))};
  }

  /// A choice's message: its expert and its row.
  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    if (!run.device.computes()) return {};
    const auto [out, in] = messages(routing, received);
    for (std::int64_t rank = 0; rank < ranks_; ++rank) {
      for (std::int64_t c = 0; c < out.choices; ++c) {
        const std::int32_t expert = routing.experts.as<std::int32_t>()[c];
        float* to = out.slot(rank, c);
        const bool is_for_it = has_row(routing, c) && rank_of(expert, routing) == rank;
        to[0] = is_for_it ? static_cast<float>(expert) : kNoExpert;
        const float weight = score(ScoreSide::input, routing, c);
        const float* from = x.as<float>() + c / routing.experts.extent(1) * x.stride(0);
        for (std::int64_t h = 0; h < out.width; ++h) to[1 + h] = weight * from[h];
      }
    }
    return post(out, in, [=, this, in = in] { sort(received, in); });
  }

  /// A result's message: its row.
  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override {
    if (!run.device.computes()) return {};
    const auto [out, in] = messages(routing, received);
    for_each_received(routing, received, [&, out = out](std::int64_t rank, std::int64_t c, std::int64_t row) {
      std::copy_n(args.rows.as<float>() + row * args.rows.stride(0), out.width, out.slot(rank, c) + 1);
    });
    return post(out, in, [=, this, in = in] {
      for (std::int64_t t = 0; t < args.y.extent(0); ++t)
        gather(ScoreSide::output, routing, in, t, args.base, args.y);
    });
  }

  /// A gradient's message: its score, and the gradient of y.
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    if (!run.device.computes()) return {};
    const auto [out, in] = messages(routing, received);
    for (std::int64_t c = 0; c < out.choices; ++c) {
      float* to = out.slot(rank_of(routing.experts.as<std::int32_t>()[c], routing), c);
      to[0] = score(ScoreSide::output, routing, c);
      std::copy_n(args.dy.as<float>() + c / routing.experts.extent(1) * args.dy.stride(0), out.width, to + 1);
    }
    return post(out, in, [=, this, in = in] {
      for_each_received(routing, received, [&](std::int64_t rank, std::int64_t c, std::int64_t row) {
        const float* from = in.slot(rank, c);
        float* to = received.rows.as<float>() + row * received.rows.stride(0);
        float& dweight = dweights(routing, received)[rank * in.choices + c];
        dweight = 0;
        for (std::int64_t h = 0; h < in.width; ++h) {
          if (!args.rows.empty())
            dweight += from[1 + h] * args.rows.as<float>()[row * args.rows.stride(0) + h];
          to[h] = from[0] * from[1 + h];
        }
      });
    });
  }

  /// A gradient's message: the gradient of its score where the expert knows it, and that of its row.
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    if (!run.device.computes()) return {};
    const auto [out, in] = messages(routing, received);
    for_each_received(routing, received, [&, out = out](std::int64_t rank, std::int64_t c, std::int64_t row) {
      float* to = out.slot(rank, c);
      to[0] = dweights(routing, received)[rank * out.choices + c];
      std::copy_n(received.rows.as<float>() + row * received.rows.stride(0), out.width, to + 1);
    });
    return post(out, in, [=, this, in = in] {
      const TensorView base = args.accumulate ? args.dx : TensorView{};
      for (std::int64_t t = 0; t < args.dx.extent(0); ++t) {
        score_gradients(routing, in, t, args);
        gather(ScoreSide::input, routing, in, t, base, args.dx);
      }
    });
  }

  void wait(Run&, Ticket& ticket) override {
    Posted& posted = posted_.at(ticket.id() - 1);
    group_.wait(posted.ticket);
    posted.finish();
    ticket = Ticket{};
  }

 private:
  struct Posted {
    Ticket ticket;
    std::function<void()> finish;
  };

  std::int64_t rank_of(std::int32_t expert, const Routing& routing) const {
    return expert * ranks_ / (routing.offsets.count() - 1);
  }
  static bool has_row(const Routing& routing, std::int64_t choice) {
    return routing.row_of.as<std::int32_t>()[choice] >= 0;
  }
  static float score(ScoreSide side, const Routing& routing, std::int64_t choice) {
    return routing.score_side == side ? routing.weights.as<float>()[choice] : 1;
  }
  /// To and from the group, one after the other in the scratch.
  std::pair<Messages, Messages> messages(const Routing& routing, const Received& received) const {
    const std::int64_t choices = routing.choice_of.count(), width = received.rows.extent(1);
    const std::int64_t count = Messages::elements(ranks_, choices, width);
    float* first = received.scratch.as<float>();
    return {{TensorView(first, DType::f32, {count}), choices, width},
            {TensorView(first + count, DType::f32, {count}), choices, width}};
  }
  /// [ranks, R] received row of each slot, or −1.
  static std::int32_t* places(const Received& received) { return received.handle.as<std::int32_t>(); }
  /// [ranks, R] gradient of the score of each slot.
  float* dweights(const Routing& routing, const Received& received) const {
    return reinterpret_cast<float*>(places(received) + ranks_ * routing.choice_of.count());
  }

  Ticket post(const Messages& out, const Messages& in, std::function<void()> finish) {
    posted_.push_back({group_.post_all_to_all(out.all, in.all), std::move(finish)});
    return Ticket(posted_.size());
  }

  /// Rows by expert, of equal experts by sender and choice.
  void sort(const Received& received, const Messages& in) const {
    std::int32_t* offsets = received.offsets.as<std::int32_t>();
    const std::int64_t held = received.offsets.count() - 1, first = held * group_.rank();
    std::int32_t next = 0;
    std::fill_n(places(received), ranks_ * in.choices, -1);
    for (std::int64_t l = 0; l < held; ++l) {
      offsets[l] = next;
      for (std::int64_t slot = 0; slot < ranks_ * in.choices; ++slot) {
        const float* from = in.slot(0, slot);
        if (from[0] != static_cast<float>(first + l)) continue;
        std::copy_n(from + 1, in.width, received.rows.as<float>() + next * received.rows.stride(0));
        places(received)[slot] = next++;
      }
    }
    offsets[held] = next;
  }

  /// visit(rank, choice of that rank, received row)
  template <class Visit>
  void for_each_received(const Routing& routing, const Received& received, const Visit& visit) const {
    const std::int64_t choices = routing.choice_of.count();
    for (std::int64_t slot = 0; slot < ranks_ * choices; ++slot) {
      if (const std::int32_t row = places(received)[slot]; row >= 0)
        visit(slot / choices, slot % choices, row);
    }
  }

  /// to[t] = base[t] + Σ_k what came back for (t, k).
  void gather(ScoreSide side, const Routing& routing, const Messages& in, std::int64_t t,
              const TensorView& base, const TensorView& to) const {
    const std::int64_t top_k = routing.experts.extent(1);
    for (std::int64_t h = 0; h < in.width; ++h) {
      double sum = base.empty() ? 0 : base.as<float>()[t * base.stride(0) + h];
      for (std::int64_t c = t * top_k; c < (t + 1) * top_k; ++c) {
        if (!has_row(routing, c)) continue;
        const std::int64_t rank = rank_of(routing.experts.as<std::int32_t>()[c], routing);
        sum += double{score(side, routing, c)} * in.slot(rank, c)[1 + h];
      }
      to.as<float>()[t * to.stride(0) + h] = static_cast<float>(sum);
    }
  }

  void score_gradients(const Routing& routing, const Messages& in, std::int64_t t,
                       const DispatchGradient& args) const {
    const std::int64_t top_k = routing.experts.extent(1);
    for (std::int64_t c = t * top_k; c < (t + 1) * top_k; ++c) {
      args.dweights.as<float>()[c] = 0;
      if (!has_row(routing, c)) continue;
      const float* from = in.slot(rank_of(routing.experts.as<std::int32_t>()[c], routing), c);
      double sum = from[0];
      if (routing.score_side == ScoreSide::input) {
        sum = 0;
        for (std::int64_t h = 0; h < in.width; ++h)
          sum += double{args.x.as<float>()[t * args.x.stride(0) + h]} * from[1 + h];
      }
      args.dweights.as<float>()[c] = static_cast<float>(sum);
    }
  }

  Communicator& group_;
  std::int64_t ranks_;
  std::vector<Posted> posted_;
};

}  // namespace
}  // namespace caravan::testing

CARAVAN_PLUGIN("dispatch-exchanged", CARAVAN_VERSION, "Apache-2.0", "Experts over ranks, for tests",
               caravan::component<caravan::testing::ExchangedDispatcher>());
