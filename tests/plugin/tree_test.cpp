#include <gtest/gtest.h>

#include <algorithm>

#include "caravan/registry.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan {
namespace {

TEST(PluginTree, EveryPluginLoads) {
  Registry registry({test::plugin_dir()});
  std::vector<Refusal> refusals;

  const std::vector<Found> all = registry.list(&refusals);

  EXPECT_FALSE(all.empty());
  for (const Refusal& refusal : refusals) ADD_FAILURE() << refusal.reason;
}

TEST(PluginTree, EveryFileSaysWhatItHoldsWithoutBeingOpened) {
  Registry registry({test::plugin_dir()});

  for (const Found& found : registry.list()) {
    const std::vector<std::string> names = Registry({test::plugin_dir()}).names(found.component->kind);
    EXPECT_TRUE(std::count(names.begin(), names.end(), found.component->name)) << found.component->name;
  }
}

}  // namespace
}  // namespace caravan
