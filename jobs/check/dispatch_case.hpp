#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "caravan/dispatch.hpp"

// What a check of dispatchers sends. Every number follows from names and indices, so each rank knows the
// inputs of all. Numbers are small integers, scores powers of two: every sum is exact in bf16 and in any
// order.
namespace caravan::jobs {

/// Which experts the tokens choose.
enum class Chosen {
  dealt,  ///< different ones
  first,  ///< all tokens the same first ones: nobody chooses the others
  last    ///< the same at the end, which are on the last rank
};

struct DispatchCase {
  std::string_view name;
  std::int64_t top_k = 1;  ///< K
  ScoreSide score_side = ScoreSide::input;
  Chosen chosen = Chosen::dealt;
  std::int64_t sequences = 1, length = 5;  ///< of every rank
  bool is_divided = false;                 ///< the ranks divide these tokens: some have fewer rows, or none
  std::int64_t capacity = 0;               ///< see DispatchSpec

  static constexpr std::int64_t kExpertsOfRank = 2, kWidth = 16;
  std::int64_t experts(int ranks) const { return kExpertsOfRank * ranks; }
  DispatchSpec spec(int rank, int ranks, DType compute) const;
};

/// One micro-batch of one rank: how its router chose, see Routing.
struct RankChoices {
  int microbatch = 0, rank = 0;
  std::int64_t tokens = 0, top_k = 1;
  std::vector<std::int32_t> experts, offsets, row_of, choice_of;
  std::vector<float> weights;

  bool is_dropped(std::int64_t choice) const { return row_of[static_cast<std::size_t>(choice)] < 0; }
};
RankChoices choices_of(const DispatchCase& dispatch, int ranks, int microbatch, int rank);

/// A token's row, and a choice of it.
struct Sent {
  int microbatch = 0, rank = 0;
  std::int64_t token = 0;
  std::int32_t expert = 0;  ///< 0 for what is the token's alone
};

/// x: its first four numbers are 1, rank + 1, token + 1 and micro-batch + 1.
float token_value(const Sent& sent, std::int64_t column);
/// Numbers in [-4, 4] of what is called `name`.
float small_value(std::string_view name, const Sent& sent, std::int64_t column);

}  // namespace caravan::jobs
