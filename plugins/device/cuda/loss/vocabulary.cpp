#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/clear.hpp"
#include "plugins/device/cuda/loss/head.hpp"
#include "plugins/device/cuda/loss/softmax_rows.hpp"
#include "plugins/device/cuda/loss/vocabulary_rows.hpp"

// Losses and gradients where ranks have a part of the vocabulary each. The logits are made once for the
// statistics and once for the gradients, because between the two stands an exchange.
namespace caravan::cuda {
namespace {

/// Columns [first, first + count).
Matrix columns_of(const Matrix& statistics, std::int64_t first, std::int64_t count) {
  Matrix part = statistics;
  part.data = statistics.as<float>() + first;
  part.columns = count;
  return part;
}

Head check_statistics_head(const Call& call, const VocabularyStatistics& args) {
  Head head = check_head(call, args);
  head.logits = call.optional_matrix("logits", args.logits, DType::f32, head.x.rows, head.w.rows);
  return head;
}

Head check_gradient_head(const Call& call, const VocabularyGradient& args) {
  Head head = check_head(call, args);
  head.dx = call.matrix("dx", args.dx, head.x.dtype, head.x.rows, head.x.columns);
  head.dw = call.optional_matrix("dw", args.dw, DType::f32, head.w.rows, head.w.columns);
  head.dbias = call.optional_floats("dbias", args.dbias, head.w.rows);
  return head;
}

}  // namespace

void CudaOps::vocabulary_statistics(const VocabularyStatistics& args) {
  const Call call("vocabulary_statistics");
  const Head head = check_statistics_head(call, args);
  const std::int64_t tokens = head.x.rows;
  const Matrix statistics = call.matrix("statistics", args.statistics, DType::f32, 3, tokens);
  const IdRange all = ids_of_all_ranks(args, head.w.rows);
  const auto visit = [&](std::int64_t first, const Matrix& logits) {
    cuda::vocabulary_statistics({logits, head.labels + first, args.first_id, all},
                                columns_of(statistics, first, logits.rows), context_.stream());
  };
  if (tokens == 0) return;
  if (head.w.rows == 0) return visit(0, Matrix{.rows = tokens});
  LogitBlocks(context_, head).walk(visit);
}

void CudaOps::vocabulary_loss(const VocabularyLoss& args) {
  const Call call("vocabulary_loss");
  const Matrix lse = call.vector("lse", args.lse, DType::f32, kAny);
  RankStatistics known{.tokens = lse.columns};
  known.labels = call.indices("labels", args.labels, known.tokens);
  call.check("statistics", args.statistics, {DType::f32, 3, {kAny, 3, known.tokens}});
  known.statistics = call.flat("statistics", args.statistics, DType::f32, kAny).as<float>();
  known.ranks = args.statistics.extent(0);
  double* loss_sum = call.scalar_f64("loss_sum", args.loss_sum);
  if (const auto problem = problem_with_rows(args, known.tokens); !problem.empty()) call.fail(problem);
  if (known.tokens == 0) return;
  Workspace& workspace = context_.workspace();
  workspace.begin(static_cast<std::size_t>(known.tokens) * sizeof(double), 1);
  auto* losses = workspace.take<double>(static_cast<std::size_t>(known.tokens));
  vocabulary_losses(known, lse.as<float>(), losses, context_.stream());
  add_sum(losses + args.first_row, args.rows, loss_sum, context_.stream());
}

void CudaOps::vocabulary_gradient(const VocabularyGradient& args) {
  const Call call("vocabulary_gradient");
  const Head head = check_gradient_head(call, args);
  const float* lse = call.floats("lse", args.lse, head.x.rows);
  if (head.x.rows == 0) return;
  if (head.w.rows == 0) return clear(head.dx, context_.stream());
  const IdRange all = ids_of_all_ranks(args, head.w.rows);
  LogitBlocks blocks(context_, head);
  blocks.walk([&](std::int64_t first, const Matrix& logits) {
    const Matrix dlogits = blocks.gradient_place(logits.rows);
    cuda::vocabulary_gradient({logits, head.labels + first, args.first_id, all}, lse + first,
                              args.gradient_scale, dlogits, context_.stream());
    blocks.add_gradients(dlogits, first);
  });
}

OperatorPath CudaOps::path_of(const VocabularyStatistics& args) const {
  return path_of_head(check_statistics_head(Call("vocabulary_statistics"), args));
}

OperatorPath CudaOps::path_of(const VocabularyGradient& args) const {
  return path_of_head(check_gradient_head(Call("vocabulary_gradient"), args));
}

}  // namespace caravan::cuda
