#include "plugins/device/cuda/kernels/ticket.hpp"

#include "plugins/device/cuda/device/cuda_error.hpp"

namespace caravan::cuda {

Ticket::Ticket(const Context& context) {
  void* counter = nullptr;
  CARAVAN_CUDA_CHECK(cudaMalloc(&counter, 2 * kApart * sizeof(unsigned)));
  counter_ = static_cast<unsigned*>(counter);
  CARAVAN_CUDA_CHECK(cudaMemsetAsync(counter_, 0, 2 * kApart * sizeof(unsigned), context.stream()));
}

Ticket::~Ticket() {
  cudaFree(counter_);
}

}  // namespace caravan::cuda
