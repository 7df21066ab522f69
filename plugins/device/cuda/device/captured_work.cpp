#include "plugins/device/cuda/device/captured_work.hpp"

#include <utility>

#include "plugins/device/cuda/device/cuda_error.hpp"

namespace caravan::cuda {

CapturedWork::CapturedWork(Context& context, std::function<void()> work)
    : context_(context), work_(std::move(work)) {
  capture();
}

CapturedWork::~CapturedWork() {
  forget();
}

void CapturedWork::forget() noexcept {
  if (graph_ && !context_.watch().is_given_up()) cudaGraphExecDestroy(graph_);
  graph_ = nullptr;
}

/// What throws meanwhile leaves a stream that is captured no more.
void CapturedWork::capture() {
  forget();
  cudaGraph_t graph = nullptr;
  CARAVAN_CUDA_CHECK(cudaStreamBeginCapture(context_.stream(), cudaStreamCaptureModeThreadLocal));
  try {
    work_();
  } catch (...) {
    if (cudaStreamEndCapture(context_.stream(), &graph) == cudaSuccess) cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    throw;
  }
  CARAVAN_CUDA_CHECK(cudaStreamEndCapture(context_.stream(), &graph));
  const cudaError_t made = cudaGraphInstantiate(&graph_, graph, 0);
  cudaGraphDestroy(graph);
  CARAVAN_CUDA_CHECK(made);
  scratch_ = context_.workspace().capacity();
}

void CapturedWork::post() {
  if (scratch_ != context_.workspace().capacity()) capture();
  CARAVAN_CUDA_CHECK(cudaGraphLaunch(graph_, context_.stream()));
}

}  // namespace caravan::cuda
