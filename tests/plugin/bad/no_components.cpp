#include "component.hpp"

CARAVAN_BAD_PLUGIN(plugin.num_components = 0);
