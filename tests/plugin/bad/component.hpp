#pragma once

#include <array>

#include "caravan/plugin.hpp"
#include "caravan/schedule.hpp"

namespace caravan::testing {

/// The smallest sound component; the plugins of this folder are wrong around it.
class Nothing : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "nothing";
  static constexpr const char* kSummary = "Does nothing";
  static constexpr std::array<caravan_param, 0> kParams{};
  Nothing(const Host&, const Config&) {}
  Plan build(const PlanRequest&) const override { return {}; }
};

inline constexpr caravan_component kComponents[] = {component<Nothing>()};

/// A sound manifest, to be broken in one place.
constexpr caravan_plugin manifest() {
  return {sizeof(caravan_plugin),
          CARAVAN_ABI_MAJOR,
          CARAVAN_ABI_MINOR,
          CARAVAN_FINGERPRINT,
          "bad",
          "1.0.0",
          "Apache-2.0",
          "Broken on purpose",
          kComponents,
          1};
}

}  // namespace caravan::testing

/// Exports the manifest that `change` makes of a sound one.
#define CARAVAN_BAD_PLUGIN(change)                                                          \
  extern "C" __attribute__((visibility("default"))) const caravan_plugin caravan_plugin_v1; \
  extern "C" const caravan_plugin caravan_plugin_v1 = [](caravan_plugin plugin) constexpr { \
    change;                                                                                 \
    return plugin;                                                                          \
  }                                                                                         \
  (caravan::testing::manifest())
