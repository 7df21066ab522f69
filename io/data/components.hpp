#pragma once

#include <span>

#include "caravan/abi.h"

namespace caravan::io {

/// The data sources that need this room's readers: tokens, text, safetensors, mix. For Registry::add.
std::span<const caravan_component> data_components();

}  // namespace caravan::io
