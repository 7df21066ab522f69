#include <array>

#include "caravan/dispatch.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// Every expert is on this rank: rows stay where they are.
class LocalDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "local";
  static constexpr const char* kSummary = "All experts on this rank, nothing moves";
  static constexpr std::array<caravan_param, 0> kParams{};

  LocalDispatcher(const Host&, const Config&) {}
  std::int64_t local_experts(std::int64_t experts) const override { return experts; }
  std::int64_t receive_bound(std::int64_t rows) const override { return rows; }
  bool in_place() const override { return true; }
  Ticket post_dispatch(const Routing&, TensorView, TensorView) override { return {}; }
  Ticket post_combine(const Routing&, TensorView, TensorView) override { return {}; }
  void wait(Ticket&) override {}
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("dispatch-local", CARAVAN_VERSION, "Apache-2.0", "Expert dispatch within one rank",
               caravan::component<caravan::LocalDispatcher>());
