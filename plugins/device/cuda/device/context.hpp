#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "caravan/device.hpp"
#include "plugins/device/cuda/device/exchange_watch.hpp"
#include "plugins/device/cuda/device/workspace.hpp"

namespace caravan::cuda {

/// Whether an operator may be faster by adding in no fixed order.
enum class Determinism { fast, exact };

/// One GPU as its operators see it: the streams of all lanes, what the chip has, scratch memory, and the
/// handles of libraries. Operators run on the compute lane; what other lanes have goes before it where there
/// is room for one of both.
class Context {
 public:
  /// Makes `ordinal` the GPU of the calling thread. DeviceError when there is no kernel for it in this build.
  explicit Context(int ordinal, Determinism determinism = Determinism::fast);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Determinism determinism() const noexcept { return determinism_; }
  int ordinal() const noexcept { return ordinal_; }
  cudaStream_t stream(Lane lane) const noexcept { return streams_[static_cast<std::size_t>(lane)]; }
  /// The stream of the operators.
  cudaStream_t stream() const noexcept { return stream(Lane::compute); }
  /// Those of the lanes, then those of make_stream().
  const std::vector<cudaStream_t>& streams() const noexcept { return streams_; }
  /// One more stream for exchanges, that synchronizing waits for as well. Lives as long as this object.
  cudaStream_t make_stream();
  ExchangeWatch& watch() noexcept { return watch_; }
  int multiprocessors() const noexcept { return multiprocessors_; }
  /// Largest dynamic shared memory of a block, in bytes, after cudaFuncSetAttribute.
  std::size_t shared_memory() const noexcept { return shared_memory_; }
  Workspace& workspace() noexcept { return *workspace_; }

  /// The one object of a type that this device keeps, such as a library's handle and its scratch; made from
  /// *this on first use, outside a captured step.
  template <class T>
  T& keep() {
    std::shared_ptr<void>& kept = kept_[&kKey<T>];
    if (!kept) kept = std::make_shared<T>(*this);
    return *static_cast<T*>(kept.get());
  }

 private:
  template <class T>
  static inline const char kKey = 0;

  int ordinal_;
  Determinism determinism_;
  int multiprocessors_ = 0;
  std::size_t shared_memory_ = 0;
  ExchangeWatch watch_;
  std::vector<cudaStream_t> streams_;
  std::unique_ptr<Workspace> workspace_;
  std::unordered_map<const void*, std::shared_ptr<void>> kept_;
};

}  // namespace caravan::cuda
