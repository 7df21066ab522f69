#include <algorithm>
#include <set>

#include "plugins/device/cuda/comm/ring_rounds.hpp"

namespace caravan::cuda {
namespace {

using Way = std::pair<int, int>;

bool is_free(const std::vector<Way>& round, const Way& way) {
  return std::none_of(round.begin(), round.end(), [&](const Way& other) {
    return other.first == way.first || other.first == way.second || other.second == way.first ||
           other.second == way.second;
  });
}

}  // namespace

std::vector<std::vector<Way>> ring_rounds(int ranks) {
  std::set<Way> ways;  // of two ranks each neighbour is both the next and the one before
  for (int rank = 0; rank < ranks && ranks > 1; ++rank) {
    ways.insert({rank, (rank + 1) % ranks});
    ways.insert({(rank + 1) % ranks, rank});
  }
  std::vector<std::vector<Way>> rounds;
  for (const Way& way : ways) {
    const auto round = std::find_if(rounds.begin(), rounds.end(),
                                    [&](const std::vector<Way>& each) { return is_free(each, way); });
    (round == rounds.end() ? rounds.emplace_back() : *round).push_back(way);
  }
  return rounds;
}

}  // namespace caravan::cuda
