#include "plugins/device/cuda/comm/ring_rounds.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

// How the ways between neighbours of a pipeline are made; needs no GPU.
namespace caravan::cuda {
namespace {

using Way = std::pair<int, int>;

std::set<Way> neighbours(int ranks) {
  std::set<Way> ways;
  for (int rank = 0; rank < ranks && ranks > 1; ++rank) {
    ways.insert({rank, (rank + 1) % ranks});
    ways.insert({(rank + 1) % ranks, rank});
  }
  return ways;
}

TEST(RingRounds, HaveEachWayBetweenNeighboursOnce) {
  for (int ranks = 1; ranks <= 9; ++ranks) {
    std::multiset<Way> ways;
    for (const auto& round : ring_rounds(ranks)) ways.insert(round.begin(), round.end());
    EXPECT_EQ(std::set<Way>(ways.begin(), ways.end()), neighbours(ranks)) << ranks;
    EXPECT_EQ(ways.size(), neighbours(ranks).size()) << ranks;
  }
}

TEST(RingRounds, HaveNoRankTwiceInARoundAndAreFew) {
  for (int ranks = 2; ranks <= 33; ++ranks) {
    const auto rounds = ring_rounds(ranks);
    EXPECT_LE(rounds.size(), 7u) << ranks;
    for (const auto& round : rounds) {
      std::map<int, int> times;
      for (const auto& [from, to] : round) {
        EXPECT_EQ(++times[from], 1) << ranks;
        EXPECT_EQ(++times[to], 1) << ranks;
      }
    }
  }
}

}  // namespace
}  // namespace caravan::cuda
