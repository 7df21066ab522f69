#include "jobs/forward/pieces.hpp"

#include <gtest/gtest.h>

namespace caravan::jobs {
namespace {

/// Positions of all rows, one by one.
std::vector<std::int64_t> listed(const TokenMap& map) {
  std::vector<std::int64_t> positions;
  for (std::int64_t row = 0; row < map.length(); ++row) positions.push_back(map.position(row));
  return positions;
}

TEST(PositionsOfAPiece, CountFromItsPlaceInTheSequence) {
  const Piece piece{.sequence = 1, .begin = 10, .length = 5};
  EXPECT_EQ(listed(positions_of(piece, TokenMap::whole(0, 6))),
            (std::vector<std::int64_t>{10, 11, 12, 13, 14, 15}));
}

TEST(PositionsOfAPiece, CountFromItsFirstRowWithoutAToken) {
  const Piece piece{.sequence = 0, .begin = 10, .length = 2, .lead = 3};
  EXPECT_EQ(listed(positions_of(piece, TokenMap::whole(0, 5))), (std::vector<std::int64_t>{7, 8, 9, 10, 11}));
}

TEST(PositionsOfAPiece, AreThoseOfTheBlocksOfAContextRank) {
  const Piece piece{.sequence = 0, .begin = 10, .length = 8};
  const TokenMap first = positions_of(piece, TokenMap::context(0, 8, 2, 0)),
                 second = positions_of(piece, TokenMap::context(0, 8, 2, 1));
  EXPECT_EQ(listed(first), (std::vector<std::int64_t>{10, 11, 16, 17}));
  EXPECT_EQ(listed(second), (std::vector<std::int64_t>{12, 13, 14, 15}));
  EXPECT_EQ(first.positions(), 18);
  EXPECT_EQ(second.positions(), 16);
}

}  // namespace
}  // namespace caravan::jobs
