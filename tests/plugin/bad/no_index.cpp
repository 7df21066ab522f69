// Sound, but made without CARAVAN_PLUGIN: only opening it tells what it holds.
#include "component.hpp"

CARAVAN_BAD_PLUGIN(static_cast<void>(plugin));
