#include <fmt/format.h>

#include "plugins/device/cuda/attention/attention_call.hpp"
#include "plugins/device/cuda/attention/attention_cudnn.hpp"
#include "plugins/device/cuda/device/cuda_ops.hpp"

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

namespace {

/// `why`: what else there is to say of cuDNN's way.
OperatorPath attention_path(const AttentionArgs& a, std::string why) {
  const std::string_view refusal = why_not_cudnn(a);
  if (!refusal.empty()) return {"plain kernel", std::string(refusal), OperatorPath::Pace::plain};
  if (const std::size_t pieces = causal_pieces(a).size(); pieces > 1)
    why = fmt::format("in {} pieces{}{}", pieces, why.empty() ? "" : ", ", why);
  return {"cuDNN", std::move(why)};
}

}  // namespace

OperatorPath CudaOps::path_of(const AttentionForward& args) const {
  return attention_path(check_attention(Call("attention_forward"), args), "");
}

OperatorPath CudaOps::path_of(const AttentionBackward& args) const {
  const bool exact = context_.determinism() == Determinism::exact;
  return attention_path(check_attention(Call("attention_backward"), args),
                        exact ? "deterministic: gradients of scores in memory" : "");
}

}  // namespace caravan::cuda
