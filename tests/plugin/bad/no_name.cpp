#include "component.hpp"

CARAVAN_BAD_PLUGIN(plugin.name = nullptr);
