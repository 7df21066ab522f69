#pragma once

#include <vector>

#include "caravan/device.hpp"

namespace caravan {

/// The values of a contiguous f32 or bf16 tensor of `device`, in f32, where the host can read them: the
/// tensor itself where it is f32 in host memory, else a copy in `room`, which grows as needed. Waits for the
/// device.
TensorView on_host(Device& device, const TensorView& tensor, std::vector<float>& room);

}  // namespace caravan
