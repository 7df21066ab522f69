#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/plugin.hpp"
#include "tests/run/model_fixture.hpp"

namespace caravan::testing {

/// Messages of an exchange.
struct Traffic {
  int posted = 0, waited = 0, most_in_flight = 0;
};
inline Traffic traffic;  // of all dispatchers of this process

/// Moves nothing before it is waited for, leaves room for more rows than come, and poisons where they go.
class LateDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "late";
  static constexpr const char* kSummary = "Copies rows when it is waited for";
  static constexpr std::array<caravan_param, 0> kParams{};

  LateDispatcher(const Host&, const Config&) {}
  DispatchNeeds needs(const DispatchSpec& spec) const override {
    const std::int64_t rows = spec.shape.rows() * spec.top_k;
    return {.local_experts = spec.experts,
            .most_received = rows + 5,
            .scratch_bytes = static_cast<std::size_t>(rows * spec.width) * sizeof(float)};
  }
  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    const TensorView sent = sorted(routing, received);
    sorted_rows::permute(run.ops, routing, x, sent);
    poison(received.rows);
    return post([=] {
      copy(sent, received.rows);
      copy(routing.offsets, received.offsets);
    });
  }
  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override {
    return post([=, &ops = run.ops] {
      const TensorView returned = sorted(routing, received);
      copy(args.rows.rows(0, returned.extent(0)), returned);
      sorted_rows::combine(ops, routing, {returned, args.base, args.y});
    });
  }
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    const TensorView sent = sorted(routing, received);
    CombineGradient sender = args;
    if (!args.rows.empty()) sender.rows = args.rows.rows(0, sent.extent(0));
    sorted_rows::combine_gradient(run.ops, routing, sender, sent);
    poison(received.rows);
    return post([=] { copy(sent, received.rows); });
  }
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    return post([=, &ops = run.ops] {
      const TensorView returned = sorted(routing, received);
      copy(received.rows.rows(0, returned.extent(0)), returned);
      sorted_rows::permute_gradient(ops, routing, args, returned);
    });
  }
  void wait(Run&, Ticket& ticket) override {
    posted_.at(ticket.id() - 1)();
    ++traffic.waited;
    ticket = Ticket{};
  }

 private:
  static void copy(const TensorView& from, const TensorView& to) {
    std::memcpy(to.data, from.data, from.bytes());
  }
  static void poison(const TensorView& rows) {
    for (std::int64_t i = 0; i < rows.count(); ++i)
      element(rows, i) = std::numeric_limits<float>::quiet_NaN();
  }
  /// Rows in the router's order, [R, H].
  static TensorView sorted(const Routing& routing, const Received& received) {
    return TensorView(received.scratch.data, DType::f32,
                      {routing.choice_of.count(), received.rows.extent(1)});
  }
  Ticket post(std::function<void()> finish) {
    posted_.push_back(std::move(finish));
    ++traffic.posted;
    traffic.most_in_flight = std::max(traffic.most_in_flight, traffic.posted - traffic.waited);
    return Ticket(posted_.size());
  }

  std::vector<std::function<void()>> posted_;
};

/// [once a process, later calls do nothing]
inline void add_late_dispatcher() {
  static const caravan_component kLate = component<LateDispatcher>();
  static const bool kAdded = [] {
    registry().add(kLate);
    return true;
  }();
  static_cast<void>(kAdded);
}

}  // namespace caravan::testing
