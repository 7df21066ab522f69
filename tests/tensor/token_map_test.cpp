#include "caravan/token_map.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "caravan/error.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

constexpr std::int64_t kSequences = 3;

/// Lengths of the blocks of a sequence, by giving tokens out one at a time.
std::vector<std::int64_t> blocks_of(std::int64_t length, int blocks) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(blocks));
  for (std::int64_t token = 0; token < length; ++token)
    ++sizes[static_cast<std::size_t>(token) % sizes.size()];
  return sizes;
}

/// Positions of the blocks that a context rank has, one by one.
std::vector<std::int64_t> positions_of(std::int64_t length, int ranks, int rank) {
  const std::vector<std::int64_t> sizes = blocks_of(length, 2 * ranks);
  std::vector<std::int64_t> positions;
  std::int64_t position = 0;
  for (int block = 0; block < 2 * ranks; ++block) {
    for (std::int64_t n = 0; n < sizes[static_cast<std::size_t>(block)]; ++n, ++position) {
      if (block == rank || block == 2 * ranks - 1 - rank) positions.push_back(position);
    }
  }
  return positions;
}

void expect_rows(const TokenMap& map, std::int64_t length, std::int64_t first_sample,
                 const std::vector<std::int64_t>& positions) {
  ASSERT_EQ(map.length(), static_cast<std::int64_t>(positions.size()));
  EXPECT_EQ(map.global_length, length);
  EXPECT_EQ(map.positions(), positions.back() + 1);
  std::int64_t row = 0;
  for (std::int64_t sample = first_sample; sample < first_sample + kSequences; ++sample) {
    for (std::int64_t position : positions) {
      EXPECT_EQ(map.sample(row), sample) << row;
      EXPECT_EQ(map.position(row), position) << row;
      EXPECT_EQ(map.token(row), sample * length + position) << row;
      EXPECT_EQ(map.from(row).token(0), map.token(row)) << row;
      ++row;
    }
  }
}

TEST(TokenMap, OfWholeSequencesCountsTheirTokensOn) {
  const TokenMap map = TokenMap::whole(7, 5);
  EXPECT_TRUE(map.is_whole());
  for (std::int64_t row = 0; row < 15; ++row) EXPECT_EQ(map.token(row), 7 * 5 + row);
  expect_rows(map, 5, 7, {0, 1, 2, 3, 4});
}

TEST(TokenMap, OfAPieceHasItsPositions) {
  const TokenMap map = TokenMap::piece(4, 3);
  for (std::int64_t row = 0; row < 3; ++row) EXPECT_EQ(map.position(row), 4 + row);
  EXPECT_EQ(TokenMap::piece(0, 3).token(2), 2);
}

TEST(TokenMap, OfContextRanksIsWhatAnEnumerationGives) {
  for (int ranks : {1, 2, 3, 4, 5}) {
    for (std::int64_t length = 2 * ranks; length <= 2 * ranks + 23; ++length) {
      for (int rank = 0; rank < ranks; ++rank) {
        SCOPED_TRACE(::testing::Message() << length << " tokens, rank " << rank << " of " << ranks);
        expect_rows(TokenMap::context(11, length, ranks, rank), length, 11,
                    positions_of(length, ranks, rank));
      }
    }
  }
}

TEST(TokenMap, OfContextRanksTogetherHasEveryTokenOnce) {
  for (int ranks : {1, 2, 3, 4}) {
    for (std::int64_t length : {8, 9, 13, 40}) {
      std::multiset<std::int64_t> tokens;
      for (int rank = 0; rank < ranks; ++rank) {
        const TokenMap map = TokenMap::context(2, length, ranks, rank);
        for (std::int64_t row = 0; row < kSequences * map.length(); ++row) tokens.insert(map.token(row));
      }
      std::multiset<std::int64_t> expected;
      for (std::int64_t n = 0; n < kSequences * length; ++n) expected.insert(2 * length + n);
      EXPECT_EQ(tokens, expected) << ranks << " ranks, " << length << " tokens";
    }
  }
}

TEST(TokenMap, OfNeighbouringBlocksHasOneRange) {
  const TokenMap last = TokenMap::context(0, 12, 3, 2);
  EXPECT_EQ(last.first.begin, 4);
  EXPECT_EQ(last.first.end, 8);
  EXPECT_EQ(last.second.size(), 0);
  EXPECT_TRUE(TokenMap::context(0, 12, 1, 0).is_whole());
}

TEST(TokenMap, OfFewerTokensThanBlocksIsRefused) {
  EXPECT_EQ(
      testing::message_of<ConfigError>([] { TokenMap::context(0, 5, 3, 0); }),
      "sequences of 5 tokens on 3 context ranks (each has two blocks, and each block a token). A longer "
      "train.sequence_length, or fewer ranks?");
}

TEST(TokenMap, BeyondATableIsNamed) {
  EXPECT_EQ(problem_with(TokenMap::piece(3, 2), 5), "");
  EXPECT_EQ(problem_with(TokenMap::piece(3, 2), 4), "position 4 (the table of positions has 4 rows)");
  EXPECT_EQ(problem_with(TokenMap::piece(-1, 2), 4),
            "sequences of 2 tokens from position -1 (need at least 1 and 0)");
}

}  // namespace
}  // namespace caravan
