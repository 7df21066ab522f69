#include "component.hpp"

namespace caravan::testing {
class WrongDefault final : public Nothing {
 public:
  static constexpr caravan_param kParams[] = {{"width", "int", "0", "", "> 0", "Width."}};
  using Nothing::Nothing;
};
}  // namespace caravan::testing

CARAVAN_PLUGIN("bad-schema", "1.0.0", "Apache-2.0", "Broken on purpose",
               caravan::component<caravan::testing::WrongDefault>());
