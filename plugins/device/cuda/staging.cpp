#include "staging.hpp"

#include <cstring>

#include "cuda_error.hpp"

namespace caravan::cuda {

Staging::Staging() {
  void* block = nullptr;
  CARAVAN_CUDA_CHECK(cudaMallocHost(&block, kSlots * kSlotBytes));
  block_ = static_cast<std::byte*>(block);
  for (std::size_t i = 0; i < kSlots; ++i) {
    slots_[i].data = block_ + i * kSlotBytes;
    CARAVAN_CUDA_CHECK(cudaEventCreateWithFlags(&slots_[i].done, cudaEventDisableTiming));
  }
}

Staging::~Staging() {
  for (const Slot& slot : slots_) cudaEventDestroy(slot.done);
  cudaFreeHost(block_);
}

void Staging::finish(Slot& slot) {
  CARAVAN_CUDA_CHECK(cudaEventSynchronize(slot.done));
  if (slot.to != nullptr) std::memcpy(slot.to, slot.data, slot.bytes);
  slot.to = nullptr;
}

Staging::Slot& Staging::next_slot() {
  Slot& slot = slots_[used_ % kSlots];
  finish(slot);
  ++used_;
  return slot;
}

void Staging::to_device(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
  if (bytes > kSlotBytes) {
    CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream));
    CARAVAN_CUDA_CHECK(cudaStreamSynchronize(stream));
    return;
  }
  Slot& slot = next_slot();
  std::memcpy(slot.data, from, bytes);
  CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, slot.data, bytes, cudaMemcpyHostToDevice, stream));
  CARAVAN_CUDA_CHECK(cudaEventRecord(slot.done, stream));
}

void Staging::to_host(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
  if (bytes > kSlotBytes) {
    // CUDA may wait where the memory is pageable. The bytes are there after the stream, either way.
    CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream));
    return;
  }
  Slot& slot = next_slot();
  CARAVAN_CUDA_CHECK(cudaMemcpyAsync(slot.data, from, bytes, cudaMemcpyDeviceToHost, stream));
  CARAVAN_CUDA_CHECK(cudaEventRecord(slot.done, stream));
  slot.to = to;
  slot.bytes = bytes;
}

void Staging::deliver_arrived() {
  for (Slot& slot : slots_) {
    if (slot.to == nullptr) continue;
    const cudaError_t state = cudaEventQuery(slot.done);
    if (state == cudaErrorNotReady) continue;
    CARAVAN_CUDA_CHECK(state);
    finish(slot);
  }
}

void Staging::deliver() {
  for (std::size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots_[(used_ + i) % kSlots];
    if (slot.to != nullptr) finish(slot);
  }
}

}  // namespace caravan::cuda
