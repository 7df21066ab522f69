#include <gtest/gtest.h>

#include <algorithm>

#include "caravan/registry.hpp"

namespace caravan {
namespace {

TEST(PluginTree, EveryPluginLoads) {
  Registry registry({CARAVAN_PLUGIN_DIR});
  std::vector<Refusal> refusals;

  const std::vector<Found> all = registry.list(&refusals);

  EXPECT_FALSE(all.empty());
  for (const Refusal& refusal : refusals) ADD_FAILURE() << refusal.reason;
}

TEST(PluginTree, EveryFileSaysWhatItHoldsWithoutBeingOpened) {
  Registry registry({CARAVAN_PLUGIN_DIR});

  for (const Found& found : registry.list()) {
    const std::vector<std::string> names = Registry({CARAVAN_PLUGIN_DIR}).names(found.component->kind);
    EXPECT_TRUE(std::count(names.begin(), names.end(), found.component->name)) << found.component->name;
  }
}

}  // namespace
}  // namespace caravan
