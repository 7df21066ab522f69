#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

/// Whether each choice token·K + k of whole sequences is among the first of its expert.
std::vector<bool> taken_choices(const Call& call, const LimitChoices& args, std::int64_t num_experts) {
  const auto chosen = call.matrix<std::int32_t>("choices", args.choices, kAny, args.row_of.extent(1));
  std::vector<std::int64_t> taken(num_experts);
  std::vector<bool> is_taken;
  for (std::int64_t t = 0; t < chosen.extent(0); ++t) {
    if (t % args.sequence_length == 0) std::fill(taken.begin(), taken.end(), 0);
    for (std::int64_t k = 0; k < chosen.extent(1); ++k) {
      const std::int32_t expert = chosen(t, k);
      if (expert < 0 || expert >= num_experts)
        call.fail(fmt::format("expert {} of token {} (there are {})", expert, t, num_experts));
      is_taken.push_back(taken[expert]++ < args.capacity);
    }
  }
  return is_taken;
}

struct SortedChoices {
  Vector<std::int32_t> offsets;
  Matrix<std::int32_t> row_of;
  Vector<std::int32_t> choice_of;
};

/// Rows of choices that are kept move up in their order, the others are taken away. Returns how many are
/// left; the last offset stays as it is.
template <class IsKept>
std::int32_t move_up(const SortedChoices& sorted, const IsKept& is_kept) {
  const auto& [offsets, row_of, choice_of] = sorted;
  const std::int64_t top_k = row_of.extent(1);
  std::int32_t next = 0;
  std::int64_t row = offsets(0);
  for (std::int64_t e = 0; e + 1 < offsets.extent(0); ++e) {
    offsets(e) = next;
    for (; row < offsets(e + 1); ++row) {
      const std::int32_t choice = choice_of(row);
      const bool keeps = is_kept(choice);
      row_of(choice / top_k, choice % top_k) = keeps ? next : -1;
      if (keeps) choice_of(next++) = choice;
    }
  }
  return next;
}

}  // namespace

void ReferenceOps::limit_choices(const LimitChoices& args) {
  const Call call("limit_choices");
  const auto row_of = call.matrix<std::int32_t>("row_of", args.row_of, kAny, kAny);
  const std::int64_t top_k = row_of.extent(1);
  const auto choice_of =
      call.vector<std::int32_t>("choice_of", args.choice_of, row_of.extent(0) * row_of.extent(1));
  const auto offsets = call.vector<std::int32_t>("offsets", args.offsets, kAny);
  const std::int64_t num_experts = offsets.extent(0) - 1;
  if (const std::string problem = problem_with(args); !problem.empty()) call.fail(problem);
  call.check_offsets(offsets, choice_of.extent(0));
  const std::vector<bool> is_taken = taken_choices(call, args, num_experts);

  const std::int32_t next = move_up({offsets, row_of, choice_of}, [&](std::int32_t choice) {
    return is_taken[args.rows.token(choice / top_k) * top_k + choice % top_k];
  });
  if (!args.dropped.empty())
    call.vector<double>("dropped", args.dropped, 1)(0) += static_cast<double>(offsets(num_experts) - next);
  offsets(num_experts) = next;
  for (std::int64_t empty = next; empty < choice_of.extent(0); ++empty) choice_of(empty) = -1;
}

}  // namespace caravan
