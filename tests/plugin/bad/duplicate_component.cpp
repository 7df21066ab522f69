// Built twice, as two files that provide the same schedule.
#include "component.hpp"

CARAVAN_PLUGIN("duplicate", CARAVAN_TEST_VERSION, "Apache-2.0", "Broken on purpose",
               caravan::component<caravan::testing::Nothing>());
