#include "jobs/check/dispatch_oracle.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace caravan::jobs {
namespace {

constexpr std::int64_t kRowWidth = DispatchCase::kWidth;

std::string name_of(const Sent& sent) {
  return fmt::format("token {} of rank {}", sent.token, sent.rank);
}

/// A whole number in [0, limit] that `value` is times `score`; -1 where it is none.
std::int64_t index_of(float value, float score, std::int64_t limit) {
  const float index = value / score - 1;
  return index >= 0 && index <= static_cast<float>(limit) && index == std::floor(index)
             ? static_cast<std::int64_t>(index)
             : -1;
}

bool are_offsets(const std::vector<std::int32_t>& offsets, std::size_t rows) {
  return offsets.front() == 0 && std::ranges::is_sorted(offsets) &&
         static_cast<std::size_t>(offsets.back()) <= rows;
}

}  // namespace

DispatchOracle::DispatchOracle(const DispatchCase& dispatch, int ranks, int microbatch)
    : case_(dispatch), microbatch_(microbatch) {
  for (int rank = 0; rank < ranks; ++rank) ranks_.push_back(choices_of(dispatch, ranks, microbatch, rank));
}

float DispatchOracle::score(ScoreSide side, const RankChoices& choices, std::int64_t choice) const {
  return case_.score_side == side ? choices.weights[static_cast<std::size_t>(choice)] : 1;
}

Sent DispatchOracle::sent(const RankChoices& choices, std::int64_t choice) const {
  return {microbatch_, choices.rank, choice / choices.top_k,
          choices.experts[static_cast<std::size_t>(choice)]};
}

/// Which choice of its token brings the row to this expert.
std::optional<std::int64_t> DispatchOracle::choice_of(const Sent& sent) const {
  const RankChoices& choices = of_rank(sent.rank);
  for (std::int64_t choice = sent.token * choices.top_k; choice < (sent.token + 1) * choices.top_k; ++choice)
    if (choices.experts[static_cast<std::size_t>(choice)] == sent.expert && !choices.is_dropped(choice))
      return choice;
  return std::nullopt;
}

/// Which token's row this is, by its first four numbers, and whether it is all of it.
std::string DispatchOracle::read_row(const float* row, std::int32_t expert,
                                     std::optional<Sent>& arrived) const {
  if (std::all_of(row, row + kRowWidth, [](float value) { return value == 0; })) return "";
  const auto rank = index_of(row[1], row[0], std::ssize(ranks_) - 1);
  const auto token = rank < 0 ? -1 : index_of(row[2], row[0], of_rank(static_cast<int>(rank)).tokens - 1);
  if (token < 0)
    return fmt::format("expert {} has a row of no token ({:g}, {:g}, {:g} ...)", expert, row[0], row[1],
                       row[2]);
  const Sent sent{microbatch_, static_cast<int>(rank), token, expert};
  if (const auto microbatch = index_of(row[3], row[0], 1000); microbatch != microbatch_)
    return fmt::format("expert {} has {} of micro-batch {}, not {}", expert, name_of(sent), microbatch,
                       microbatch_);
  const auto choice = choice_of(sent);
  if (!choice) return fmt::format("expert {} has {}, which is not sent there", expert, name_of(sent));
  const float wanted = score(ScoreSide::input, of_rank(sent.rank), *choice);
  if (row[0] != wanted)
    return fmt::format("expert {} has {} times {:g}, not {:g}", expert, name_of(sent), row[0], wanted);
  for (std::int64_t column = 0; column < kRowWidth; ++column)
    if (row[column] != wanted * token_value(sent, column))
      return fmt::format("expert {}: number {} of the row of {} is {:g}, not {:g}", expert, column,
                         name_of(sent), row[column], wanted * token_value(sent, column));
  arrived = sent;
  return "";
}

std::string DispatchOracle::wrong_count(std::int64_t first_expert, std::int64_t experts,
                                        const Arrived& arrived) const {
  for (const RankChoices& choices : ranks_) {
    for (std::int64_t choice = 0; choice < std::ssize(choices.experts); ++choice) {
      const Sent wanted = sent(choices, choice);
      if (choices.is_dropped(choice) || wanted.expert < first_expert ||
          wanted.expert >= first_expert + experts)
        continue;
      const auto times = std::ranges::count_if(arrived, [&](const auto& row) {
        return row && row->rank == wanted.rank && row->token == wanted.token && row->expert == wanted.expert;
      });
      if (times != 1)
        return fmt::format("expert {} has {} {} times, not once", wanted.expert, name_of(wanted), times);
    }
  }
  return "";
}

std::string DispatchOracle::wrong_arrivals(const DispatchNeeds& needs,
                                           const std::vector<std::int32_t>& offsets,
                                           const std::vector<float>& rows, Arrived& arrived) const {
  arrived.assign(rows.size() / kRowWidth, std::nullopt);
  if (!are_offsets(offsets, arrived.size()))
    return fmt::format("first rows of its experts are [{}] (they ascend from 0 to at most {})",
                       fmt::join(offsets, ", "), arrived.size());
  for (std::size_t local = 0; local + 1 < offsets.size(); ++local) {
    const auto expert = static_cast<std::int32_t>(needs.first_expert + static_cast<std::int64_t>(local));
    for (std::int32_t row = offsets[local]; row < offsets[local + 1]; ++row) {
      const std::string wrong =
          read_row(rows.data() + row * kRowWidth, expert, arrived[static_cast<std::size_t>(row)]);
      if (!wrong.empty()) return wrong;
    }
  }
  return wrong_count(needs.first_expert, needs.local_experts, arrived);
}

std::string DispatchOracle::wrong_row_gradients(const std::vector<float>& rows, const Arrived& arrived,
                                                std::int64_t end) const {
  for (std::int64_t row = 0; row < end; ++row) {
    const auto& sent = arrived[static_cast<std::size_t>(row)];
    const float by = sent ? score(ScoreSide::output, of_rank(sent->rank), choice_of(*sent).value()) : 0;
    for (std::int64_t column = 0; column < kRowWidth; ++column) {
      const float wanted = sent ? by * small_value("dy", {microbatch_, sent->rank, sent->token}, column) : 0;
      const float seen = rows[static_cast<std::size_t>(row * kRowWidth + column)];
      if (seen != wanted)
        return fmt::format("number {} of the gradient of {} is {:g}, not {:g}", column,
                           sent ? fmt::format("the result of expert {} for {}", sent->expert, name_of(*sent))
                                : fmt::format("row {}, which pads an expert,", row),
                           seen, wanted);
    }
  }
  return "";
}

std::string DispatchOracle::wrong_sums(int rank, bool has_base, const std::vector<float>& y) const {
  const RankChoices& choices = of_rank(rank);
  for (std::int64_t token = 0; token < choices.tokens; ++token) {
    for (std::int64_t column = 0; column < kRowWidth; ++column) {
      float wanted = has_base ? small_value("base", {microbatch_, rank, token}, column) : 0;
      for (std::int64_t choice = token * choices.top_k; choice < (token + 1) * choices.top_k; ++choice)
        if (!choices.is_dropped(choice))
          wanted += score(ScoreSide::output, choices, choice) *
                    small_value("result", sent(choices, choice), column);
      const float seen = y[static_cast<std::size_t>(token * kRowWidth + column)];
      if (seen != wanted)
        return fmt::format("number {} of the sum of token {} is {:g}, not {:g}", column, token, seen, wanted);
    }
  }
  return "";
}

/// <x, gradient of the received row>, or <dy, result>.
float DispatchOracle::gradient_of_score(const RankChoices& choices, std::int64_t choice) const {
  if (choices.is_dropped(choice)) return 0;
  const Sent here = sent(choices, choice), token{here.microbatch, here.rank, here.token};
  float sum = 0;
  for (std::int64_t column = 0; column < kRowWidth; ++column)
    sum += case_.score_side == ScoreSide::input
               ? token_value(token, column) * small_value("drow", here, column)
               : small_value("dy", token, column) * small_value("result", here, column);
  return sum;
}

std::string DispatchOracle::wrong_gradients(int rank, bool accumulates, const std::vector<float>& dx,
                                            const std::vector<float>& dweights) const {
  const RankChoices& choices = of_rank(rank);
  for (std::int64_t choice = 0; choice < std::ssize(choices.experts); ++choice) {
    const float wanted = gradient_of_score(choices, choice),
                seen = dweights[static_cast<std::size_t>(choice)];
    if (seen != wanted)
      return fmt::format("the gradient of score {} of token {} is {:g}, not {:g}", choice % choices.top_k,
                         choice / choices.top_k, seen, wanted);
  }
  for (std::int64_t token = 0; token < choices.tokens; ++token) {
    for (std::int64_t column = 0; column < kRowWidth; ++column) {
      float wanted = accumulates ? small_value("dx", {microbatch_, rank, token}, column) : 0;
      for (std::int64_t choice = token * choices.top_k; choice < (token + 1) * choices.top_k; ++choice)
        if (!choices.is_dropped(choice))
          wanted +=
              score(ScoreSide::input, choices, choice) * small_value("drow", sent(choices, choice), column);
      const float seen = dx[static_cast<std::size_t>(token * kRowWidth + column)];
      if (seen != wanted)
        return fmt::format("number {} of the gradient of token {} is {:g}, not {:g}", column, token, seen,
                           wanted);
    }
  }
  return "";
}

}  // namespace caravan::jobs
