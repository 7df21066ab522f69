#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

#include "caravan/device.hpp"
#include "plugins/device/cuda/device/context.hpp"

namespace caravan::cuda {

/// A CUDA graph of what `work` posts on the compute lane. It is captured anew where scratch memory that it
/// points to has made place for more.
class CapturedWork final : public CapturedPosts {
 public:
  /// DeviceError when `work` does what no graph holds.
  CapturedWork(Context& context, std::function<void()> work);
  ~CapturedWork() override;
  CapturedWork(const CapturedWork&) = delete;
  CapturedWork& operator=(const CapturedWork&) = delete;

  void post() override;

 private:
  void capture();
  void forget() noexcept;

  Context& context_;
  std::function<void()> work_;
  cudaGraphExec_t graph_ = nullptr;
  std::size_t scratch_ = 0;  ///< bytes of the scratch that it was captured with
};

}  // namespace caravan::cuda
