#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/loss/head.hpp"
#include "plugins/device/cuda/loss/softmax_rows.hpp"

// A block of rows of logits at a time: product, one pass that makes losses and turns the logits into their
// gradients in place, two products that use those up.
namespace caravan::cuda {
namespace {

Head check_whole_head(const Call& call, const LinearCrossEntropy& args) {
  Head head = check_head(call, args);
  head.logits = call.optional_matrix("logits", args.logits, DType::f32, head.x.rows, head.w.rows);
  head.dx = call.optional_matrix("dx", args.dx, head.x.dtype, head.x.rows, head.x.columns);
  if (!head.dx) return head;
  head.dw = call.optional_matrix("dw", args.dw, DType::f32, head.w.rows, head.w.columns);
  head.dbias = call.optional_floats("dbias", args.dbias, head.w.rows);
  return head;
}

}  // namespace

void CudaOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  const Call call("linear_cross_entropy");
  const Head head = check_whole_head(call, args);
  double* loss_sum = call.scalar_f64("loss_sum", args.loss_sum);
  const std::int64_t tokens = head.x.rows;
  if (tokens == 0 || head.w.rows == 0) return;
  LogitBlocks blocks(context_, head, tokens);
  blocks.walk([&](std::int64_t first, const Matrix& logits) {
    SoftmaxRows rows;
    rows.logits = logits;
    rows.labels = head.labels + first;
    rows.losses = blocks.numbers() + first;
    rows.gradient_scale = args.gradient_scale;
    if (head.dx) rows.dlogits = blocks.gradient_place(logits.rows);
    softmax_rows(context_, rows);
    if (head.dx) blocks.add_gradients(rows.dlogits, first);
  });
  add_sum(blocks.numbers(), tokens, loss_sum, context_.stream());
}

OperatorPath CudaOps::path_of(const LinearCrossEntropy& args) const {
  return path_of_head(check_whole_head(Call("linear_cross_entropy"), args));
}

}  // namespace caravan::cuda
