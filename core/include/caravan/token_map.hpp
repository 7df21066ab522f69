#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace caravan {

/// Positions [begin, end) of a sequence.
struct PositionRange {
  std::int64_t begin = 0, end = 0;
  constexpr std::int64_t size() const noexcept { return end - begin; }
};

/// Which tokens of the data a rank's rows of a micro-batch are. Its sequences are neighbouring samples, of
/// each of which it has the same one or two ranges of positions. What depends on a token (random streams,
/// labels, documents, positions) asks this by the row, so that no layout changes a result. A value that
/// kernels take as it is; constexpr, so that they compute with the same code.
struct TokenMap {
  std::int64_t first_sample = 0;        ///< global index of the first sequence
  std::int64_t global_length = 1;       ///< L: tokens of a whole sequence, on however many ranks
  PositionRange first{0, 1}, second{};  ///< what of each sequence is here, ascending; `second` may be empty
  std::int64_t first_token = 0;         ///< which of the tokens here is that of row 0

  /// Whole sequences of `length` tokens.
  static TokenMap whole(std::int64_t first_sample, std::int64_t length);
  /// Positions [begin, begin + length) of one sequence that is read or written piece by piece.
  static TokenMap piece(std::int64_t begin, std::int64_t length);
  /// What a rank of a context group has of sequences of `length` tokens: blocks `rank` and 2·ranks − 1 −
  /// `rank` of 2·ranks, the first `length` mod 2·ranks of which have one token more, so that causal attention
  /// costs every rank the same. ConfigError when there are fewer tokens than blocks.
  static TokenMap context(std::int64_t first_sample, std::int64_t length, int ranks, int rank);
  /// The same tokens, from the given row on: those of a rank that has a share of them.
  constexpr TokenMap from(std::int64_t row) const noexcept {
    TokenMap map = *this;
    map.first_token += row;
    return map;
  }

  /// Of each sequence, ascending; the second may be empty.
  constexpr std::array<PositionRange, 2> ranges() const noexcept { return {first, second}; }
  /// S: tokens of a sequence that are here.
  constexpr std::int64_t length() const noexcept { return first.size() + second.size(); }
  constexpr bool is_whole() const noexcept { return length() == global_length; }
  /// One more than the largest position.
  constexpr std::int64_t positions() const noexcept { return second.size() > 0 ? second.end : first.end; }

  /// Global index of the row's sample.
  constexpr std::int64_t sample(std::int64_t row) const noexcept {
    return first_sample + (first_token + row) / length();
  }
  constexpr std::int64_t position(std::int64_t row) const noexcept {
    const std::int64_t within = (first_token + row) % length();
    return within < first.size() ? first.begin + within : second.begin + (within - first.size());
  }
  /// Global index of the row's token: sample·L + position.
  constexpr std::int64_t token(std::int64_t row) const noexcept {
    if (is_whole()) return first_sample * global_length + first_token + row;
    return sample(row) * global_length + position(row);
  }
};

/// Empty when every position is a row of a table of so many, else "position 4 (the table of positions has 4
/// rows)".
std::string problem_with(const TokenMap& map, std::int64_t table_rows);

}  // namespace caravan
