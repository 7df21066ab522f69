#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "tests/ops/peer_batch.hpp"

// The order in which rows travel, and the parts in which their readers wait for them.
namespace caravan::testing {
namespace {

using ::testing::Each;

/// Of the rows between two ranks, by their place among those of their sender: in which part each travels.
using PartOf = std::map<std::int64_t, std::int64_t>;

/// Calls visit(row, part) in the order of travel.
template <class Visit>
void for_each_turn(const Ids& order, const Ids& ends, const Visit& visit) {
  std::int64_t turn = 0;
  for (std::int64_t part = 0; part < kRowParts; ++part)
    for (; turn < ends[part]; ++turn) visit(order[turn], part);
  for (; turn < order.size(); ++turn) ASSERT_EQ(order[turn], -1);
}

PartOf sent_parts(const Places& from, std::int64_t to) {
  PartOf parts;
  for_each_turn(from.sent_order, from.sent_ends, [&](std::int32_t row, std::int64_t part) {
    if (from.to_rank[row] == to) parts.emplace(row, part);
  });
  return parts;
}

PartOf received_parts(const Places& at, std::int64_t from) {
  PartOf parts;
  for_each_turn(at.received_order, at.received_ends, [&](std::int32_t row, std::int64_t part) {
    if (at.back_rank[row] == from) parts.emplace(at.back_row[row], part);
  });
  return parts;
}

std::vector<Places> all_places(const Batch& batch, std::int64_t room) {
  std::vector<Places> all;
  for (std::int64_t rank = 0; rank < batch.ranks; ++rank) all.emplace_back(batch, rank, room, 60);
  return all;
}

TEST(RowParts, AreTheSameForThoseWhoSendAndWhoReceive) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    const Batch batch(1 + seed % 4, 1 + seed % 5, seed);
    const std::vector<Places> all = all_places(batch, batch.most_received() + seed % 2);
    for (std::int64_t from = 0; from < batch.ranks; ++from) {
      for (std::int64_t to = 0; to < batch.ranks; ++to) {
        const PartOf sent = sent_parts(all[static_cast<std::size_t>(from)], to);
        ASSERT_EQ(sent, received_parts(all[static_cast<std::size_t>(to)], from)) << seed;
        const std::int64_t begin = batch.first(from, to * batch.local()),
                           rows = batch.first(from, (to + 1) * batch.local()) - begin;
        ASSERT_EQ(std::ssize(sent), from == to ? 0 : rows) << seed << ": every row that travels, once";
        for (const auto& [row, part] : sent) ASSERT_EQ(part, (row - begin) * kRowParts / rows) << seed;
      }
    }
  }
}

/// Rows of each rank for the experts of rank 0, 1 and 2.
TEST(RowParts, TakeRanksInTurn) {
  Batch batch(3, 1, 0);
  batch.rows = {{2, 16, 24}, {0, 0, 0}, {0, 3, 0}};
  const std::vector<Places> all = all_places(batch, 60);
  std::vector<std::int32_t> first = all[0].sent_order.values();
  first.resize(static_cast<std::size_t>(all[0].sent_ends[0]));
  EXPECT_EQ(first, (std::vector<std::int32_t>{2, 18, 3, 19, 20}))
      << "an eighth of 16 rows and of 24, in turn";
  EXPECT_THAT(all[1].sent_ends.values(), Each(0));
  EXPECT_EQ(all[1].received_ends.values(), (std::vector<std::int32_t>{3, 5, 8, 10, 12, 15, 17, 19}));
}

TEST(RowParts, AreEmptyWhereSomeRankHasNoRoom) {
  const Batch batch(3, 2, 5);
  for (const Places& places : all_places(batch, batch.most_received() - 1)) {
    EXPECT_THAT(places.sent_ends.values(), Each(0));
    EXPECT_THAT(places.received_ends.values(), Each(0));
    EXPECT_THAT(places.sent_order.values(), Each(-1));
    EXPECT_THAT(places.received_order.values(), Each(-1));
  }
}

}  // namespace
}  // namespace caravan::testing
