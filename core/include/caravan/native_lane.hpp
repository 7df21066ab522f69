#pragma once

#include <optional>
#include <string_view>

#include "caravan/device.hpp"

// Operators of others on a device's lane (docs/native-operators.md). What is posted to a native lane runs
// after everything that was posted on that lane before, and before everything that is posted on it later; for
// another lane's work the rule is Device::record() and wait(), as for the device's own operators. Nothing may
// wait for the device, or take memory from it, between: what a layer posts may be captured and posted again.

struct CUstream_st;  // of the CUDA headers, where a cudaStream_t is a pointer to one

namespace caravan {

/// A stream of the CUDA runtime, of the GPU that is the calling thread's.
struct CudaStream {
  static constexpr std::string_view kName = "cuda_stream";
  using Handle = CUstream_st*;
};

/// The lane as `Api` has it; nothing where this device posts its work to something else, or runs it inline.
template <class Api>
std::optional<typename Api::Handle> native_lane(Device& device, Lane lane) {
  const std::optional<NativeLane> native = device.native_lane(lane);
  if (!native || native->api != Api::kName) return std::nullopt;
  return static_cast<typename Api::Handle>(native->handle);
}

}  // namespace caravan
