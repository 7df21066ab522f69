#include "plugins/device/cuda/routing/choice_limit.cuh"

#include <algorithm>
#include <string>

#include "caravan/checked.hpp"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {
namespace {

/// The checked operands; scratch is not there yet.
ChoiceLimit limit_of(const Call& call, const LimitChoices& args) {
  const Matrix chosen = call.matrix("choices", args.choices, DType::i32, kAny, kAny);
  const Matrix row_of = call.matrix("row_of", args.row_of, DType::i32, kAny, chosen.columns);
  // Threads count on behind the last choice, and a last sequence may be short.
  const std::int64_t of_all = ceil_div(chosen.rows, std::max<std::int64_t>(args.sequence_length, 1)) *
                              std::min(std::max<std::int64_t>(args.sequence_length, 1), chosen.rows) *
                              chosen.columns;
  if (of_all > kMostRows - kLimitThreads)
    call.fail(std::to_string(of_all) + " choices (more than 32-bit numbers count)");
  if (const std::string problem = problem_with(args); !problem.empty()) call.fail(problem);
  // No sequence has more choices than there are.
  return {.experts = static_cast<int>(args.offsets.extent(0) - 1),
          .top_k = static_cast<int>(chosen.columns),
          .all = static_cast<int>(chosen.rows),
          .length = static_cast<int>(std::min<std::int64_t>(args.sequence_length, chosen.rows)),
          .capacity = static_cast<int>(std::min<std::int64_t>(args.capacity, of_all)),
          .choices = static_cast<int>(row_of.rows * row_of.columns),
          .chosen = Rows<std::int32_t>(chosen),
          .tokens = args.rows,
          .offsets = call.indices("offsets", args.offsets, kAny),
          .choice_of = call.indices("choice_of", args.choice_of, row_of.rows * row_of.columns),
          .row_of = Rows<std::int32_t>(row_of),
          .dropped = args.dropped.empty() ? nullptr : call.scalar_f64("dropped", args.dropped)};
}

}  // namespace

void CudaOps::limit_choices(const LimitChoices& args) {
  const Call call("limit_choices");
  ChoiceLimit limit = limit_of(call, args);
  if (limit.choices == 0) return;
  const auto all = static_cast<std::size_t>(limit.all) * limit.top_k;
  const std::size_t own = 2 * static_cast<std::size_t>(limit.experts) + 1 + limit.choices;
  Workspace& scratch = context_.workspace();
  scratch.begin((all + own) * sizeof(std::int32_t), 1);
  limit.taken = scratch.take<std::int32_t>(all + own);
  limit.old_offsets = limit.taken + all;
  limit.old_choices = limit.old_offsets + limit.experts + 1;
  limit.kept = limit.old_choices + limit.choices;
  CARAVAN_CUDA_CHECK(cudaMemsetAsync(limit.taken, 0, all * sizeof(std::int32_t), context_.stream()));
  const dim3 blocks(ceil_div(limit.all, limit.length), limit.experts);
  mark_taken<<<blocks, kLimitThreads, 0, context_.stream()>>>(limit);
  CARAVAN_CUDA_LAUNCHED();
  count_kept<<<limit.experts, kLimitThreads, 0, context_.stream()>>>(limit);
  CARAVAN_CUDA_LAUNCHED();
  move_kept<<<limit.experts, kLimitThreads, 0, context_.stream()>>>(limit);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
