#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "plugins/device/cuda/device/exchange_watch.hpp"

namespace caravan::cuda {

/// Scratch of the operators of one stream: one block that grows to the largest demand seen, so that a step
/// allocates nothing once every operator has run. What take() gives is valid until the next begin(); because
/// the operators of a stream run one after the other, the next one may overwrite it.
class Workspace {
 public:
  static constexpr std::size_t kAlignment = 256;

  /// Borrows `watch`, to ask while it waits.
  Workspace(cudaStream_t stream, ExchangeWatch& watch) : stream_(stream), watch_(watch) {}
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Starts over with room for `bytes` in all, counting kAlignment more for each take(). Growing waits for
  /// the stream; DeviceError when the stream is being captured into a graph, or memory is out.
  void begin(std::size_t bytes, std::size_t takes);
  /// Not initialised, 256-byte aligned.
  template <class T>
  T* take(std::size_t count) {
    return static_cast<T*>(take_bytes(count * sizeof(T)));
  }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  void* take_bytes(std::size_t bytes);
  void grow(std::size_t bytes);

  cudaStream_t stream_;
  ExchangeWatch& watch_;
  std::byte* block_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

}  // namespace caravan::cuda
