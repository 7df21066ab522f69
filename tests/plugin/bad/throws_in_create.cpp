#include <stdexcept>

#include "component.hpp"

namespace caravan::testing {
class Throws final : public Nothing {
 public:
  static constexpr const char* kName = "throws";
  static constexpr caravan_param kParams[] = {
      {"what", "io|config|standard|number", nullptr, "", "", "What to throw."}};
  Throws(const Host& host, const Config& config) : Nothing(host, config) {
    const std::string& what = config.get_string("what");
    if (what == "io") throw IoError("the weights are truncated (12 of 40 bytes)");
    if (what == "config") throw ConfigError("width=3 (must be even)");
    if (what == "standard") throw std::runtime_error("a plain exception");
    throw 42;
  }
};
}  // namespace caravan::testing

CARAVAN_PLUGIN("throws-in-create", "1.0.0", "Apache-2.0", "Broken on purpose",
               caravan::component<caravan::testing::Throws>());
