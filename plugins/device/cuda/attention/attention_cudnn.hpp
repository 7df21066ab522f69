#pragma once

#include <cudnn_graph.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "plugins/device/cuda/attention/attention_args.hpp"
#include "plugins/device/cuda/device/context.hpp"

namespace caravan::cuda {

/// Why own kernels must serve a call; empty where cuDNN does.
std::string_view why_not_cudnn(const AttentionArgs& args);
/// A call cut into plain causal attentions without chunks, whose last query sees all keys, and into those of
/// keys that every query sees: chunks of a sequence become sequences. In the order in which they must run.
/// Empty where cuDNN does not serve the call.
std::vector<AttentionArgs> causal_pieces(const AttentionArgs& args);

/// Causal attention in bf16 by cuDNN's fused engines, plans kept by shape and strides.
class CudnnAttention {
 public:
  explicit CudnnAttention(Context& context);
  ~CudnnAttention();
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  /// One of causal_pieces.
  void forward(const AttentionArgs& piece);
  /// Sums dq by atomics, in no fixed order, unless the context asks for determinism: then dS is written to
  /// scratch, 2 bytes a score.
  void backward(const AttentionArgs& piece);

 private:
  struct Forward;
  struct Backward;
  using Key = std::array<std::int64_t, 34>;

  Context& context_;
  cudnnHandle_t handle_ = nullptr;
  std::map<Key, std::unique_ptr<Forward>> forwards_;
  std::map<Key, std::unique_ptr<Backward>> backwards_;
};

}  // namespace caravan::cuda
