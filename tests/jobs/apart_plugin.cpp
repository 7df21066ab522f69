#include "tests/support/apart_device.hpp"

CARAVAN_PLUGIN("device-apart", "1.0.0", "Apache-2.0", "A device with memory of its own, for tests",
               caravan::component<caravan::testing::ApartDevice>());
