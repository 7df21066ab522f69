#pragma once

#include <algorithm>
#include <array>
#include <cstring>
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
  std::int64_t local_experts(std::int64_t experts) const override { return experts; }
  std::int64_t receive_bound(std::int64_t rows) const override { return rows + 5; }
  bool in_place() const override { return false; }
  Ticket post_dispatch(const Routing& routing, TensorView sent, TensorView received) override {
    return post(routing, sent, received);
  }
  Ticket post_combine(const Routing& routing, TensorView rows, TensorView returned) override {
    return post(routing, rows, returned);
  }
  void wait(Ticket& ticket) override {
    const Copy& copy = copies_.at(ticket.id() - 1);
    std::memcpy(copy.to.data, copy.from.data, copy.bytes);
    ++traffic.waited;
    ticket = Ticket{};
  }

 private:
  struct Copy {
    TensorView from, to;
    std::size_t bytes;
  };

  Ticket post(const Routing& routing, TensorView from, TensorView to) {
    const auto rows = static_cast<std::size_t>(routing.choice_of.count());
    copies_.push_back({from, to, rows * static_cast<std::size_t>(from.extent(1)) * sizeof(float)});
    for (std::int64_t i = 0; i < to.count(); ++i) element(to, i) = std::numeric_limits<float>::quiet_NaN();
    ++traffic.posted;
    traffic.most_in_flight = std::max(traffic.most_in_flight, traffic.posted - traffic.waited);
    return Ticket(copies_.size());
  }

  std::vector<Copy> copies_;
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
