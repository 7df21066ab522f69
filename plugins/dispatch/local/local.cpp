#include <array>

#include "caravan/dispatch.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// Every expert is on this rank: the router's order is that of the experts.
class LocalDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "local";
  static constexpr const char* kSummary = "All experts on this rank, nothing moves";
  static constexpr std::array<caravan_param, 0> kParams{};

  LocalDispatcher(const Host&, const Config&) {}

  DispatchNeeds needs(const DispatchSpec& spec) const override {
    return {
        .local_experts = spec.experts, .most_received = spec.shape.rows() * spec.top_k, .keeps_order = true};
  }
  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    sorted_rows::permute(run.ops, routing, x, received.rows);
    return {};
  }
  Ticket post_combine(Run& run, const Routing& routing, const Received&, const Combine& args) override {
    sorted_rows::combine(run.ops, routing, args);
    return {};
  }
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    sorted_rows::combine_gradient(run.ops, routing, args, received.rows);
    return {};
  }
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    sorted_rows::permute_gradient(run.ops, routing, args, received.rows);
    return {};
  }
  void wait(Run&, Ticket&) override {}
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("dispatch-local", CARAVAN_VERSION, "Apache-2.0", "Expert dispatch within one rank",
               caravan::component<caravan::LocalDispatcher>());
