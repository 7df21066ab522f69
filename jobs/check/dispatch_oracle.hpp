#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs/check/dispatch_case.hpp"

namespace caravan::jobs {

/// What arrived as which row; rows that pad an expert, and those of nobody, are of no token.
using Arrived = std::vector<std::optional<Sent>>;

/// What exchanges of one micro-batch must give, worked out from the choices of all ranks by nothing but
/// loops. Answers are empty where all is right, else what was seen in place of what.
class DispatchOracle {
 public:
  DispatchOracle(const DispatchCase& dispatch, int ranks, int microbatch);

  const RankChoices& of_rank(int rank) const { return ranks_[static_cast<std::size_t>(rank)]; }

  /// `offsets` [L+1], `rows` [M, H] as dispatch wrote them on a rank with these needs; fills `arrived` [M].
  std::string wrong_arrivals(const DispatchNeeds& needs, const std::vector<std::int32_t>& offsets,
                             const std::vector<float>& rows, Arrived& arrived) const;
  /// `rows` [M, H], the gradients of these arrived rows, as the gradient of combine wrote them; those from
  /// `end` on are nobody's.
  std::string wrong_row_gradients(const std::vector<float>& rows, const Arrived& arrived,
                                  std::int64_t end) const;
  /// y [T, H] of a rank.
  std::string wrong_sums(int rank, bool has_base, const std::vector<float>& y) const;
  /// dx [T, H] and dweights [T, K] of a rank.
  std::string wrong_gradients(int rank, bool accumulates, const std::vector<float>& dx,
                              const std::vector<float>& dweights) const;

 private:
  /// The score that multiplies on this side of the experts; else 1.
  float score(ScoreSide side, const RankChoices& choices, std::int64_t choice) const;
  Sent sent(const RankChoices& choices, std::int64_t choice) const;
  float gradient_of_score(const RankChoices& choices, std::int64_t choice) const;
  std::optional<std::int64_t> choice_of(const Sent& sent) const;
  std::string read_row(const float* row, std::int32_t expert, std::optional<Sent>& arrived) const;
  std::string wrong_count(std::int64_t first_expert, std::int64_t experts, const Arrived& arrived) const;

  DispatchCase case_;
  int microbatch_;
  std::vector<RankChoices> ranks_;
};

}  // namespace caravan::jobs
