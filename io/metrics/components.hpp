#pragma once

#include <span>

#include "caravan/abi.h"

namespace caravan::io {

/// The ways to record a run that need this room's writers: jsonl, tensorboard, csv. For Registry::add.
std::span<const caravan_component> metrics_components();

}  // namespace caravan::io
