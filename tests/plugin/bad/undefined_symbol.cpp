#include "component.hpp"

void caravan_test_defined_nowhere();

namespace caravan::testing {
class Calls final : public Nothing {
 public:
  Calls(const Host& host, const Config& config) : Nothing(host, config) { caravan_test_defined_nowhere(); }
};
}  // namespace caravan::testing

CARAVAN_PLUGIN("undefined-symbol", "1.0.0", "Apache-2.0", "Broken on purpose",
               caravan::component<caravan::testing::Calls>());
