#include "component.hpp"

CARAVAN_BAD_PLUGIN(plugin.abi_major = CARAVAN_ABI_MAJOR + 1);
