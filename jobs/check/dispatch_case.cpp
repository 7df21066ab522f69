#include "jobs/check/dispatch_case.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "caravan/random.hpp"

namespace caravan::jobs {
namespace {

std::uint32_t bits_of(std::string_view name, const Sent& sent, std::int64_t column) {
  const auto high = (static_cast<std::uint64_t>(sent.rank) << 32) + static_cast<std::uint64_t>(sent.token);
  const auto low = (static_cast<std::uint64_t>(sent.expert) << 32) + static_cast<std::uint64_t>(column);
  return philox({static_cast<std::uint64_t>(sent.microbatch), hash_name(name)}, high, low)[0];
}

std::int32_t expert_of(const DispatchCase& dispatch, std::int64_t experts, const Sent& sent, std::int64_t k) {
  if (dispatch.chosen == Chosen::first) return static_cast<std::int32_t>(k);
  if (dispatch.chosen == Chosen::last) return static_cast<std::int32_t>(experts - 1 - k);
  const std::int64_t first = bits_of("expert", sent, 0) % experts;
  const std::int64_t further = 1 + bits_of("further", sent, 0) % (experts - 1);
  return static_cast<std::int32_t>((first + k * further) % experts);
}

void draw(const DispatchCase& dispatch, int ranks, RankChoices& choices) {
  constexpr float kScores[] = {0.25f, 0.5f, 2};  // no 1, with which one that is forgotten would not show
  for (std::int64_t token = 0; token < choices.tokens; ++token) {
    const Sent sent{choices.microbatch, choices.rank, token};
    for (std::int64_t k = 0; k < choices.top_k; ++k) {
      choices.experts.push_back(expert_of(dispatch, dispatch.experts(ranks), sent, k));
      choices.weights.push_back(kScores[bits_of("score", sent, k) % 3]);
    }
  }
}

/// Choices beyond the capacity have no row.
std::vector<std::int32_t> kept(const DispatchCase& dispatch, const RankChoices& choices) {
  std::vector<std::int32_t> kept;
  std::map<std::pair<std::int64_t, std::int32_t>, std::int64_t> taken;
  for (std::size_t choice = 0; choice < choices.experts.size(); ++choice) {
    const std::int64_t sequence = static_cast<std::int64_t>(choice) / choices.top_k / dispatch.length;
    std::int64_t& rows = taken[{sequence, choices.experts[choice]}];
    if (dispatch.capacity > 0 && rows >= dispatch.capacity) continue;
    ++rows;
    kept.push_back(static_cast<std::int32_t>(choice));
  }
  return kept;
}

void sort(std::int64_t experts, const std::vector<std::int32_t>& kept, RankChoices& choices) {
  const auto expert = [&](std::int32_t choice) { return choices.experts[static_cast<std::size_t>(choice)]; };
  choices.choice_of = kept;
  std::ranges::stable_sort(choices.choice_of, {}, expert);
  choices.offsets.assign(static_cast<std::size_t>(experts) + 1, 0);
  choices.row_of.assign(choices.experts.size(), -1);
  for (std::size_t row = 0; row < choices.choice_of.size(); ++row) {
    const std::int32_t choice = choices.choice_of[row];
    choices.row_of[static_cast<std::size_t>(choice)] = static_cast<std::int32_t>(row);
    ++choices.offsets[static_cast<std::size_t>(expert(choice)) + 1];
  }
  std::partial_sum(choices.offsets.begin(), choices.offsets.end(), choices.offsets.begin());
  choices.choice_of.resize(choices.experts.size(), -1);
}

}  // namespace

DispatchSpec DispatchCase::spec(int rank, int ranks, DType compute) const {
  BatchShape shape{sequences, length, Phase::train};
  shape.compute = compute;
  if (is_divided) {
    shape.tensor_ranks = ranks;
    shape.tensor_rank = rank;
  }
  return {.experts = experts(ranks),
          .top_k = top_k,
          .width = kWidth,
          .score_side = score_side,
          .capacity = capacity,
          .shape = shape};
}

RankChoices choices_of(const DispatchCase& dispatch, int ranks, int microbatch, int rank) {
  RankChoices choices;
  choices.microbatch = microbatch;
  choices.rank = rank;
  choices.tokens = dispatch.spec(rank, ranks, DType::f32).shape.rows();
  choices.top_k = dispatch.top_k;
  draw(dispatch, ranks, choices);
  sort(dispatch.experts(ranks), kept(dispatch, choices), choices);
  return choices;
}

float token_value(const Sent& sent, std::int64_t column) {
  if (column == 0) return 1;
  if (column == 1) return static_cast<float>(sent.rank + 1);
  if (column == 2) return static_cast<float>(sent.token + 1);
  if (column == 3) return static_cast<float>(sent.microbatch + 1);
  return small_value("x", {sent.microbatch, sent.rank, sent.token}, column);
}

float small_value(std::string_view name, const Sent& sent, std::int64_t column) {
  return static_cast<float>(bits_of(name, sent, column) % 9) - 4;
}

}  // namespace caravan::jobs
