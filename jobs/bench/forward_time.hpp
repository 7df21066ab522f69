#pragma once

#include <cstdint>

#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// Seconds of a forward pass of `sequences` of `length` tokens as training's validation makes it, with the
/// loss of every token: the median of three, after one that is not counted. Error where there is no room for
/// it.
double time_forward(Device& device, ModelInstance& model, std::int64_t sequences, std::int64_t length);

}  // namespace caravan::jobs
