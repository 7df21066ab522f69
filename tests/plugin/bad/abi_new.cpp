#include "component.hpp"

CARAVAN_BAD_PLUGIN(plugin.abi_major = 9);
