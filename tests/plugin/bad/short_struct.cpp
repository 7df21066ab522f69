#include "component.hpp"

CARAVAN_BAD_PLUGIN(plugin.struct_size = 16);
