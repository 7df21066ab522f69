#include "plugins/device/cuda/device/staging.hpp"

#include <cstring>

#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/queries.hpp"

namespace caravan::cuda {

Staging::Staging(ExchangeWatch& watch) : watch_(watch) {
  void* block = nullptr;
  CARAVAN_CUDA_CHECK(cudaMallocHost(&block, kChunks * kChunkBytes));
  block_ = static_cast<std::byte*>(block);
  for (std::size_t i = 0; i < kChunks; ++i) {
    chunks_[i].data = block_ + i * kChunkBytes;
    CARAVAN_CUDA_CHECK(cudaEventCreateWithFlags(&chunks_[i].done, cudaEventDisableTiming));
  }
}

Staging::~Staging() {
  if (watch_.is_given_up()) return;
  for (const Chunk& chunk : chunks_) cudaEventDestroy(chunk.done);
  cudaFreeHost(block_);
}

void Staging::finish(Chunk& chunk) {
  watch_.wait_until([&] { return has_happened(chunk.done); });
  if (chunk.to != nullptr) std::memcpy(chunk.to, chunk.data, chunk.bytes);
  chunk.to = nullptr;
}

Staging::Chunk& Staging::next_chunk() {
  Chunk& chunk = chunks_[used_ % kChunks];
  finish(chunk);
  ++used_;
  return chunk;
}

void Staging::to_device(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
  if (bytes > kChunkBytes) {
    CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream));
    watch_.wait_until([&] { return is_idle(stream); });
    return;
  }
  Chunk& chunk = next_chunk();
  std::memcpy(chunk.data, from, bytes);
  CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, chunk.data, bytes, cudaMemcpyHostToDevice, stream));
  CARAVAN_CUDA_CHECK(cudaEventRecord(chunk.done, stream));
}

void Staging::to_host(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
  if (bytes > kChunkBytes) {
    // CUDA may wait where the memory is pageable. The bytes are there after the stream, either way.
    CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream));
    return;
  }
  Chunk& chunk = next_chunk();
  CARAVAN_CUDA_CHECK(cudaMemcpyAsync(chunk.data, from, bytes, cudaMemcpyDeviceToHost, stream));
  CARAVAN_CUDA_CHECK(cudaEventRecord(chunk.done, stream));
  chunk.to = to;
  chunk.bytes = bytes;
}

void Staging::deliver_arrived() {
  for (Chunk& chunk : chunks_) {
    if (chunk.to == nullptr) continue;
    if (has_happened(chunk.done)) finish(chunk);
  }
}

void Staging::deliver() {
  for (std::size_t i = 0; i < kChunks; ++i) {
    Chunk& chunk = chunks_[(used_ + i) % kChunks];
    if (chunk.to != nullptr) finish(chunk);
  }
}

}  // namespace caravan::cuda
