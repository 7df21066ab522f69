#include "component.hpp"

namespace caravan::testing {
constexpr caravan_component kNewer = [](caravan_component one) constexpr {
  one.kind_version = 7;
  return one;
}
(component<Nothing>());
}  // namespace caravan::testing

CARAVAN_PLUGIN("interface-version", "1.0.0", "Apache-2.0", "Broken on purpose", caravan::testing::kNewer);
