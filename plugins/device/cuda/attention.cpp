#include "attention_call.hpp"
#include "attention_cudnn.hpp"
#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::attention_forward(const AttentionForward& args) {
  const Call call("attention_forward");
  const AttentionArgs a = check_attention(call, args);
  if (args.out.count() == 0) return;
  const std::vector<AttentionArgs> pieces = causal_pieces(a);
  if (pieces.empty()) return attention_forward_kernels(a, context_.stream());
  for (const AttentionArgs& piece : pieces) context_.keep<CudnnAttention>().forward(piece);
}

void CudaOps::attention_backward(const AttentionBackward& args) {
  const Call call("attention_backward");
  AttentionArgs a = check_attention(call, args);
  if (args.out.count() == 0) return;
  const std::vector<AttentionArgs> pieces = causal_pieces(a);
  for (const AttentionArgs& piece : pieces) context_.keep<CudnnAttention>().backward(piece);
  if (!pieces.empty()) return;
  const auto rows = static_cast<std::size_t>(args.lse.count());
  context_.workspace().begin(rows * sizeof(float), 1);
  a.delta = context_.workspace().take<float>(rows);
  attention_backward_kernels(a, context_.stream());
}

}  // namespace caravan::cuda
