#include "plugins/layer/attention/key_shares.hpp"

#include <algorithm>

namespace caravan::attention {
namespace {

/// Tokens of both.
std::int64_t common(PositionRange a, PositionRange b) {
  return std::max<std::int64_t>(0, std::min(a.end, b.end) - std::max(a.begin, b.begin));
}

template <class Keys, class Gradients>
std::vector<Parcel> parcels(int ranks, const Keys& keys, const Gradients& gradients) {
  std::vector<Parcel> all(static_cast<std::size_t>(ranks));
  std::int64_t first = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    Parcel& parcel = all[static_cast<std::size_t>(rank)];
    parcel = {first, keys(rank), gradients(rank)};
    first += parcel.rows();
  }
  return all;
}

std::vector<std::int64_t> counts_of(const std::vector<Parcel>& parcels) {
  std::vector<std::int64_t> counts;
  for (const Parcel& parcel : parcels) counts.push_back(parcel.rows());
  return counts;
}

}  // namespace

Block joined(const std::array<Block, 2>& blocks) {
  const Block& first = blocks[0].size() > 0 ? blocks[0] : blocks[1];
  const std::int64_t begin = first.positions.begin;
  return {{begin, begin + blocks[0].size() + blocks[1].size()}, first.row};
}

KeyShares::KeyShares(const Host& host, std::int64_t chunk)
    : rows_(host), chunk_(chunk), in_ring_(rows_.travel() && host.mesh->layout().degrees().cp_ring) {}

bool KeyShares::travel(const BatchShape& shape) const {
  if (!has_ranks() || chunk_ == 0) return has_ranks();
  for (int rank = 0; rank < ranks(); ++rank) {
    const auto [earlier, later] = blocks(shape, rank);
    for (const PositionRange& block : {earlier.positions, later.positions}) {
      if (block.size() == 0) continue;
      const PositionRange before{block.begin / chunk_ * chunk_, block.begin};
      if (before.size() > common(before, earlier.positions)) return true;
    }
  }
  return false;
}

std::array<Block, 2> KeyShares::blocks(const BatchShape& shape, int rank) const {
  if (!has_ranks()) return {Block{{0, shape.length}}, Block{}};
  const TokenMap map = rows_.map(shape, rank);
  return {Block{map.first}, Block{map.second, map.first.size()}};
}

std::array<Block, 2> KeyShares::halves(const BatchShape& shape, int rank) const {
  const auto [first, second] = blocks(shape, rank);
  if (!has_ranks() || chunk_ != 0 || second.size() > 0) return {first, second};
  const std::int64_t middle = first.positions.begin + first.size() / 2;
  return {Block{{first.positions.begin, middle}, first.row},
          Block{{middle, first.positions.end}, first.row + first.size() / 2}};
}

std::array<Block, 2> KeyShares::seen(const BatchShape& shape, int owner, int reader) const {
  std::array<Block, 2> seen;
  std::int64_t row = 0;
  const std::array<Block, 2> of_owner = blocks(shape, owner), of_reader = blocks(shape, reader);
  for (std::size_t at = 0; at < seen.size(); ++at) {
    const PositionRange keys = of_owner[at].positions;
    std::int64_t first = keys.end;
    for (const Block& block : of_reader) {
      const Crossing both = crossing(block.positions, keys, chunk_);
      if (!both.empty()) first = std::min(first, both.keys.begin);
    }
    seen[at] = {{first, keys.end}, row};
    row += seen[at].size();
  }
  return seen;
}

bool KeyShares::comes(int owner, int reader, int round) const {
  if (owner == reader || round == 0) return false;
  return !in_ring_ || (reader - owner + ranks()) % ranks() == round;
}

std::int64_t KeyShares::rows_seen(const BatchShape& shape, int owner, int reader, int round) const {
  if (!comes(owner, reader, round)) return 0;
  const auto [first, second] = seen(shape, owner, reader);
  return shape.sequences * (first.size() + second.size());
}

std::vector<Parcel> KeyShares::sent(const BatchShape& shape, Rounds rounds, int rank) const {
  return parcels(
      ranks(), [&](int to) { return rows_seen(shape, rank, to, rounds.keys); },
      [&](int to) { return rows_seen(shape, to, rank, rounds.gradients); });
}

std::vector<Parcel> KeyShares::received(const BatchShape& shape, Rounds rounds, int rank) const {
  return parcels(
      ranks(), [&](int from) { return rows_seen(shape, from, rank, rounds.keys); },
      [&](int from) { return rows_seen(shape, rank, from, rounds.gradients); });
}

Traffic KeyShares::traffic(const BatchShape& shape, Rounds rounds) const {
  Traffic traffic{shape.sequences, shape.sequence_length(), sent(shape, rounds, rank()),
                  received(shape, rounds, rank())};
  traffic.rows_sent = counts_of(traffic.sent);
  traffic.rows_received = counts_of(traffic.received);
  for (int rank = 0; rank < ranks(); ++rank) {
    traffic.most_sent = std::max(traffic.most_sent, rows_of(sent(shape, rounds, rank)));
    traffic.most_received = std::max(traffic.most_received, rows_of(received(shape, rounds, rank)));
  }
  return traffic;
}

std::int64_t rows_of(const std::vector<Parcel>& parcels) {
  return parcels.empty() ? 0 : parcels.back().first + parcels.back().rows();
}

}  // namespace caravan::attention
