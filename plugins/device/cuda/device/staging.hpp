#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>

#include "plugins/device/cuda/device/exchange_watch.hpp"

namespace caravan::cuda {

/// Copies between a stream and host memory that is not pinned, through a ring of pinned chunks, so that
/// neither side waits: a source is free when the call returns, a destination is filled by deliver() at the
/// latest. What is larger than a chunk goes without one, and may wait for the stream where the host's memory
/// is not pinned.
class Staging {
 public:
  /// Borrows it, to ask while it waits.
  explicit Staging(ExchangeWatch& watch);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void to_device(cudaStream_t stream, void* to, const void* from, std::size_t bytes);
  void to_host(cudaStream_t stream, void* to, const void* from, std::size_t bytes);
  /// Fills the destinations of to_host(), oldest first, once their copies have arrived.
  void deliver();
  /// Only those that have arrived.
  void deliver_arrived();

 private:
  static constexpr std::size_t kChunkBytes = 256 * 1024;
  static constexpr std::size_t kChunks = 32;
  struct Chunk {
    std::byte* data = nullptr;
    cudaEvent_t done = nullptr;  ///< of the last copy out of or into it
    void* to = nullptr;          ///< where its content still has to go, or null
    std::size_t bytes = 0;
  };

  /// The oldest chunk, free to use.
  Chunk& next_chunk();
  void finish(Chunk& chunk);

  ExchangeWatch& watch_;
  std::byte* block_ = nullptr;
  std::array<Chunk, kChunks> chunks_;
  std::size_t used_ = 0;
};

}  // namespace caravan::cuda
