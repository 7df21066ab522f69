#include "component.hpp"

CARAVAN_BAD_PLUGIN(plugin.fingerprint = "sdk=0.0.9+deadbeef;cuda=12");
