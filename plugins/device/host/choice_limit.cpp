#include <algorithm>
#include <cstdint>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// The checked operands.
struct Limit {
  Rows<std::int32_t> choices, row_of;
  std::int32_t *offsets, *choice_of;
  std::int64_t num_experts, top_k;

  Limit(const Call& call, const LimitChoices& args)
      : choices(call.index_matrix("choices", args.choices, kAny, kAny)),
        row_of(call.index_matrix("row_of", args.row_of, kAny, choices.columns)),
        offsets(call.indices("offsets", args.offsets, kAny)),
        choice_of(call.indices("choice_of", args.choice_of, row_of.rows * row_of.columns)),
        num_experts(args.offsets.extent(0) - 1),
        top_k(choices.columns) {
    if (const std::string problem = problem_with(args); !problem.empty()) call.fail(problem);
    call.check_offsets(offsets, num_experts, row_of.rows * top_k);
    call.check_experts(choices, num_experts);
  }
};

/// Whether each choice token·K + k of whole sequences is among the first of its expert: 1 or 0.
const std::int32_t* taken_choices(const Limit& limit, const LimitChoices& args, Workspace& scratch) {
  const auto experts = static_cast<std::size_t>(limit.num_experts),
             choices = static_cast<std::size_t>(limit.choices.rows * limit.top_k);
  scratch.begin(experts + choices, 2);
  auto* taken = scratch.take_as<std::int32_t>(experts);
  auto* is_taken = scratch.take_as<std::int32_t>(choices);
  for (std::int64_t t = 0; t < limit.choices.rows; ++t) {
    if (t % args.sequence_length == 0) std::fill_n(taken, experts, 0);
    for (std::int64_t k = 0; k < limit.top_k; ++k)
      is_taken[t * limit.top_k + k] = taken[limit.choices.row(t)[k]]++ < args.capacity;
  }
  return is_taken;
}

}  // namespace

void HostOps::limit_choices(const LimitChoices& args) {
  const Call call("limit_choices");
  const Limit limit(call, args);
  double* dropped = args.dropped.empty() ? nullptr : call.scalar_f64("dropped", args.dropped);
  const std::int32_t* is_taken = taken_choices(limit, args, workspace(0));

  // Rows move up within the same memory, in their order.
  std::int32_t next = 0, row = limit.offsets[0];
  for (std::int64_t e = 0; e < limit.num_experts; ++e) {
    limit.offsets[e] = next;
    for (; row < limit.offsets[e + 1]; ++row) {
      const std::int32_t choice = limit.choice_of[row];
      const std::int64_t token = choice / limit.top_k, k = choice % limit.top_k;
      const bool takes = is_taken[args.rows.token(token) * limit.top_k + k] != 0;
      limit.row_of.row(token)[k] = takes ? next : -1;
      if (takes) limit.choice_of[next++] = choice;
    }
  }
  if (dropped) *dropped += row - next;
  limit.offsets[limit.num_experts] = next;
  std::fill(limit.choice_of + next, limit.choice_of + limit.row_of.rows * limit.top_k, -1);
}

}  // namespace caravan::host
