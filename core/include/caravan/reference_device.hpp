#pragma once

#include "caravan/abi.h"

namespace caravan {

/// The device "reference", for Registry::add: host memory, lanes that run inline, ReferenceOps, f32. Lives as
/// long as libcaravan_core.
const caravan_component& reference_device_component();

}  // namespace caravan
