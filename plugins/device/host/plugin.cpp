#include "caravan/plugin.hpp"

#include "host_device.hpp"

CARAVAN_PLUGIN("device-host", CARAVAN_VERSION, "Apache-2.0", "The fast processor device",
               caravan::component<caravan::host::HostDevice>());
