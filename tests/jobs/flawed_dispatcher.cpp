#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/plugin.hpp"
#include "caravan/registry.hpp"

// all_to_all with one mistake, which the parameter `flaw` names: caravan plugins check has to find it. In
// host memory.
namespace caravan::testing {
namespace {

class FlawedDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "flawed";
  static constexpr const char* kSummary = "all_to_all with a mistake";
  static constexpr caravan_param kParams[] = {
      {"flaw", "none|expert|score|count|buffer|beyond|doubled|scores|input|repeats|held|lost|paper", "none",
       "", "", "What is wrong."}};

  FlawedDispatcher(const Host& host, const Config& config)
      : right_(host.registry->create<Dispatcher>("all_to_all", host, Config::map())),
        flaw_(config.get_string("flaw")) {}

  DispatchNeeds needs(const DispatchSpec& spec) const override {
    DispatchNeeds needs = right_->needs(spec);
    if (flaw_ == "held") needs.first_expert = 0, needs.local_experts = 1;
    return needs;
  }
  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    Ticket ticket = right_->post_dispatch(run, routing, received, x);
    if (flaw_ == "input" && x.count() > 0) x.as<std::uint16_t>()[1] = 0;  // x is read already
    arrivals_[ticket.id()] = {received, run.pass != Pass::first};
    return ticket;
  }
  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override {
    Routing other = routing;
    Combine summed = args;
    ones_.assign(static_cast<std::size_t>(routing.weights.count()), 1);
    if (flaw_ == "score") other.weights.data = ones_.data();
    if (flaw_ == "buffer" && args.base.empty()) summed.base = args.y;
    return right_->post_combine(run, other, received, summed);
  }
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    if (flaw_ == "lost" && !saved_.empty()) std::ranges::copy(saved_, received.handle.as<std::uint8_t>());
    return right_->post_combine_gradient(run, routing, received, args);
  }
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    DispatchGradient summed = args;
    if (flaw_ == "doubled") summed.accumulate = true;
    Ticket ticket = right_->post_dispatch_gradient(run, routing, received, summed);
    gradients_[ticket.id()] = args.dweights;
    return ticket;
  }
  void wait(Run& run, Ticket& ticket) override {
    const auto arrival = arrivals_.extract(ticket.id());
    const auto gradient = gradients_.extract(ticket.id());
    right_->wait(run, ticket);
    if (!run.device.computes() && flaw_ != "paper") return;
    if (!arrival.empty()) spoil(arrival.mapped());
    if (!gradient.empty() && flaw_ == "scores" && gradient.mapped().count() > 0)
      gradient.mapped().as<float>()[0] += 1;
  }

 private:
  struct Arrival {
    Received received;
    bool is_repeated = false;
  };

  void spoil(const Arrival& arrival) {
    const Received& received = arrival.received;
    const std::size_t row = received.rows.bytes() / static_cast<std::size_t>(received.rows.extent(0));
    auto* rows = received.rows.as<std::uint8_t>();
    auto* offsets = received.offsets.as<std::int32_t>();
    const auto held = received.offsets.count() - 1;
    const std::vector<std::int32_t> own(offsets, offsets + held + 1);
    if (flaw_ == "expert" && own.back() > 1)
      std::swap_ranges(rows, rows + row, rows + static_cast<std::size_t>(own.back() - 1) * row);
    if (flaw_ == "count" && !offsets_.empty()) std::ranges::copy(offsets_, offsets);
    if (flaw_ == "beyond") rows[received.rows.bytes()] = 0;
    if (flaw_ == "repeats" && arrival.is_repeated) std::fill_n(rows, received.rows.bytes(), std::uint8_t{0});
    offsets_ = own;
    const auto* handle = received.handle.as<std::uint8_t>();
    saved_.assign(handle, handle + received.handle.bytes());
  }

  Made<Dispatcher> right_;
  std::string flaw_;
  std::vector<float> ones_;
  std::vector<std::int32_t> offsets_;  ///< of the dispatch before
  std::vector<std::uint8_t> saved_;    ///< the handle of the last dispatch
  std::map<std::uint64_t, Arrival> arrivals_;
  std::map<std::uint64_t, TensorView> gradients_;
};

}  // namespace
}  // namespace caravan::testing

CARAVAN_PLUGIN("flawed-dispatcher", CARAVAN_VERSION, "Apache-2.0", "Wrong on purpose",
               caravan::component<caravan::testing::FlawedDispatcher>());
