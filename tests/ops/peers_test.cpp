#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "caravan/bf16.hpp"
#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/peer_batch.hpp"
#include "tests/ops/tensor.hpp"
#include "tests/support/message_of.hpp"

// Where rows of experts go, and rows that go to the memory of other ranks.
namespace caravan::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

/// Checked from the other side: whoever receives a row looks up where it says it comes from.
TEST(PlaceRows, SendEveryRowToItsExpertAndBack) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    const Batch batch(1 + seed % 4, 1 + seed % 3, seed);
    const std::int64_t room = batch.most_received() + seed % 2, choices = 40;
    std::vector<Places> all;
    for (std::int64_t rank = 0; rank < batch.ranks; ++rank) all.emplace_back(batch, rank, room, choices);
    for (std::int64_t rank = 0; rank < batch.ranks; ++rank) {
      const Places& mine = all[static_cast<std::size_t>(rank)];
      EXPECT_EQ(mine.lost[0], 0);
      EXPECT_EQ(mine.offsets[0], 0);
      EXPECT_EQ(mine.offsets[batch.local()], batch.received(rank)) << seed;
      EXPECT_EQ(mine.kept_offsets.values(), mine.offsets.values()) << seed;
      std::int64_t row = 0;
      for (std::int64_t l = 0; l < batch.local(); ++l) {
        for (std::int64_t from = 0; from < batch.ranks; ++from) {
          const std::int64_t expert = rank * batch.local() + l;
          for (std::int64_t sent = batch.first(from, expert); sent < batch.first(from, expert + 1);
               ++sent, ++row) {
            const Places& theirs = all[static_cast<std::size_t>(from)];
            ASSERT_EQ(mine.back_rank[row], from) << seed;
            ASSERT_EQ(mine.back_row[row], sent) << seed;
            ASSERT_EQ(mine.arrived[row], row) << seed;
            ASSERT_EQ(theirs.to_rank[sent], rank) << seed;
            ASSERT_EQ(theirs.to_row[sent], row) << seed;
          }
        }
        ASSERT_EQ(mine.offsets[l + 1], row) << seed;
      }
      for (std::int64_t none = row; none < room; ++none) ASSERT_EQ(mine.arrived[none], -1) << seed;
      for (std::int64_t none = batch.first(rank, batch.experts); none < choices; ++none)
        ASSERT_EQ(mine.to_rank[none], -1) << seed;
    }
  }
}

TEST(PlaceRows, SendNothingWhereAnyRankHasNoRoom) {
  const Batch batch(3, 2, 5);
  const std::int64_t room = batch.most_received() - 1;
  std::int64_t without = 0;
  for (std::int64_t rank = 0; rank < 3; ++rank)
    without += std::max<std::int64_t>(batch.received(rank) - room, 0);
  for (std::int64_t rank = 0; rank < 3; ++rank) {
    const Places places(batch, rank, room, 40);
    EXPECT_EQ(places.lost[0], 1);
    EXPECT_THAT(places.to_rank.values(), Each(-1));
    EXPECT_THAT(places.back_rank.values(), Each(-1));
    EXPECT_THAT(places.arrived.values(), Each(-1));
    EXPECT_THAT(places.offsets.values(), Each(0));
    EXPECT_DOUBLE_EQ(places.overflow[0], static_cast<double>(without) / 3);
  }
}

TEST(PlaceRows, TellAllRanksTheirOwn) {
  Ids table({2, 3}, {9, 9, 9, 0, 1, 2}), other({2, 3}, {8, 8, 8, 8, 8, 8}), own({3}, {0, 2, 3});
  Ids to_rank(Shape{3}), to_row(Shape{3}), offsets(Shape{2}), back_rank(Shape{3}), back_row(Shape{3}),
      arrived(Shape{3}), lost(Shape{1});
  const auto bytes = [](Ids& ids) { return TensorView(ids).as<std::byte>(); };
  const std::vector<std::byte*> tables{bytes(table), bytes(other)};
  ReferenceOps().place_rows({.first_rows = table,
                             .rank = 0,
                             .to_rank = to_rank,
                             .to_row = to_row,
                             .offsets = offsets,
                             .back_rank = back_rank,
                             .back_row = back_row,
                             .arrived = arrived,
                             .lost = lost,
                             .own_rows = own,
                             .tables = tables});
  EXPECT_EQ(other.values(), (std::vector<std::int32_t>{0, 2, 3, 8, 8, 8}));
  EXPECT_EQ(to_rank.values(), (std::vector<std::int32_t>{0, 0, 1}));
  EXPECT_EQ(offsets.values(), (std::vector<std::int32_t>{0, 3}));
}

TEST(PlaceRows, RefuseCountsThatAreNone) {
  const auto message = [](Ids table) {
    return message_of<DeviceError>([&] {
      Ids to_rank(Shape{4}), to_row(Shape{4}), offsets(Shape{2}), back_rank(Shape{4}), back_row(Shape{4}),
          arrived(Shape{4}), lost(Shape{1});
      ReferenceOps().place_rows(
          {table, 0, to_rank, to_row, offsets, {}, back_rank, back_row, arrived, lost, {}});
    });
  };
  EXPECT_EQ(message(Ids({2, 3}, {0, 1, 2, 0, 1, 2})), "");
  EXPECT_THAT(message(Ids({2, 3}, {0, 2, 1, 0, 1, 2})),
              HasSubstr("expert 1 of rank 0 begin at 2 and end at 1"));
  EXPECT_THAT(message(Ids({2, 3}, {0, 1, 2, -1, 1, 2})), HasSubstr("expert 0 of rank 1 begin at -1"));
  EXPECT_THAT(message(Ids({2, 3}, {0, 1, 9, 0, 1, 2})), HasSubstr("9 rows are sorted (there are 4)"));
  EXPECT_THAT(message(Ids({3, 3}, {0, 1, 2, 0, 1, 2, 0, 1, 2})), HasSubstr("1 experts of rank 0 of 3 ranks"));
}

class PushRows : public ::testing::Test {
 protected:
  static constexpr std::int64_t kWidth = 3, kRoom = 4;
  std::vector<std::byte*> regions(std::size_t bytes) {
    for (auto& region : memory_) region.assign(bytes, std::byte{0x7f});
    return {memory_[0].data(), memory_[1].data()};
  }
  template <class T>
  const T* at(int rank, std::int64_t row) const {
    return reinterpret_cast<const T*>(memory_[static_cast<std::size_t>(rank)].data()) + row * kWidth;
  }
  std::vector<std::byte> memory_[2];
  ReferenceOps ops_;
};

TEST_F(PushRows, GoToTheirPlacesTimesTheirWeights) {
  Tensor rows = Tensor::random("rows", {2, kWidth}, 2), weights({2, 2}, {1, 2, 3, 4});
  Ids choice_of({4}, {3, 0, -1, 1}), to_rank({4}, {1, 0, 0, -1}), to_row({4}, {2, 3, 0, 1});
  const auto where = regions(sizeof(float) * kRoom * kWidth);
  ops_.push_rows({rows, choice_of, 2, weights, to_rank, to_row, where, kRoom});
  for (std::int64_t h = 0; h < kWidth; ++h) {
    EXPECT_FLOAT_EQ(at<float>(1, 2)[h], 4 * rows[kWidth + h]);
    EXPECT_FLOAT_EQ(at<float>(0, 3)[h], 1 * rows[h]);
  }
  float untouched = 0;
  std::memset(&untouched, 0x7f, sizeof untouched);
  EXPECT_EQ(*at<float>(0, 0), untouched) << "a choice without a row";
  EXPECT_EQ(*at<float>(0, 1), untouched) << "a row that goes nowhere";
}

TEST_F(PushRows, StayWhereThereIsNoRegion) {
  Tensor rows({2, kWidth}, {1, 2, 3, 4, 5, 6});
  Ids to_rank({2}, {0, 1}), to_row({2}, {0, 0});
  auto where = regions(sizeof(float) * kRoom * kWidth);
  where[0] = nullptr;
  ops_.push_rows(
      {.rows = rows, .to_rank = to_rank, .to_row = to_row, .regions = where, .region_rows = kRoom});
  EXPECT_EQ(at<float>(1, 0)[2], 6);
}

TEST_F(PushRows, OfAHostComeToNoMeetingOfOperators) {
  Tensor rows({1, kWidth});
  Ids to_rank({1}, {0}), to_row({1}, {0});
  const auto where = regions(sizeof(float) * kRoom * kWidth);
  EXPECT_THAT(message_of<DeviceError>([&] {
                ops_.push_rows({.rows = rows,
                                .to_rank = to_rank,
                                .to_row = to_row,
                                .regions = where,
                                .region_rows = kRoom,
                                .comes_to = {.number = 3}});
              }),
              HasSubstr("a meeting of operators, number 3"));
}

TEST_F(PushRows, OfAnyTypeGoAsTheyAre) {
  Ids rows({2, kWidth}, {1, 2, 3, 4, 5, 6}), to_rank({2}, {0, 1}), to_row({2}, {1, 0});
  const auto where = regions(sizeof(std::int32_t) * kRoom * kWidth);
  ops_.push_rows(
      {.rows = rows, .to_rank = to_rank, .to_row = to_row, .regions = where, .region_rows = kRoom});
  EXPECT_EQ(at<std::int32_t>(0, 1)[2], 3);
  EXPECT_EQ(at<std::int32_t>(1, 0)[0], 4);
}

TEST_F(PushRows, InBf16AreRoundedOnce) {
  std::vector<std::uint16_t> values{to_bf16(1.5f), to_bf16(-3.f), to_bf16(0.37f)};
  const TensorView rows(values.data(), DType::bf16, {1, kWidth});
  Tensor weights({1, 1}, {1.7f});
  Ids to_rank({1}, {1}), to_row({1}, {3});
  Ids choice_of({1}, {0});
  const auto where = regions(sizeof(std::uint16_t) * kRoom * kWidth);
  ops_.push_rows({rows, choice_of, 1, weights, to_rank, to_row, where, kRoom});
  for (std::int64_t h = 0; h < kWidth; ++h)
    EXPECT_EQ(at<std::uint16_t>(1, 3)[h], to_bf16(1.7f * from_bf16(values[static_cast<std::size_t>(h)])));
}

TEST_F(PushRows, NeverWriteBesideTheRegions) {
  Tensor rows({1, kWidth});
  const auto message = [&](std::int32_t rank, std::int32_t row, std::int32_t choice) {
    Ids to_rank({1}, {rank}), to_row({1}, {row}), choice_of({1}, {choice});
    const auto where = regions(sizeof(float) * kRoom * kWidth);
    return message_of<DeviceError>([&] {
      ops_.push_rows({rows, choice_of, 1, {}, to_rank, to_row, where, kRoom});
    });
  };
  EXPECT_EQ(message(1, kRoom - 1, 0), "");
  EXPECT_THAT(message(2, 0, 0), HasSubstr("of rank 2 of 2"));
  EXPECT_THAT(message(0, kRoom, 0), HasSubstr("goes to row 4 of 4"));
  EXPECT_THAT(message(0, -1, 0), HasSubstr("goes to row -1 of 4"));
  EXPECT_THAT(message(0, 0, 1), HasSubstr("is choice 1 of 1"));
}

TEST(ReturnRows, AreSummedWhereTheirTokensAre) {
  Tensor results({2, 1}, {10, 20}), landed({4, 1}, {1, 2, 3, 4}), base({3, 1}, {100, 200, 300}), y({3, 1});
  // Sorted rows 0 and 3 had gone to results 1 and 0 of this rank, row 1 to the other, row 2 nowhere.
  Ids to_rank({4}, {0, 1, -1, 0}), to_row({4}, {1, 7, -1, 0});
  Ids back_rank({2}, {1, 0}), back_row({2}, {3, 0}), row_of({3, 2}, {0, 1, -1, 3, 2, 0});
  std::vector<float> other(4);
  const std::vector<std::byte*> regions{nullptr, reinterpret_cast<std::byte*>(other.data())};
  ReferenceOps().return_rows({.push = {.rows = results,
                                       .to_rank = back_rank,
                                       .to_row = back_row,
                                       .regions = regions,
                                       .region_rows = 4,
                                       .rank = 0},
                              .landed = landed,
                              .to_rank = to_rank,
                              .to_row = to_row,
                              .row_of = row_of,
                              .base = base,
                              .y = y});
  EXPECT_FLOAT_EQ(y[0], 100 + 20 + 2);
  EXPECT_FLOAT_EQ(y[1], 200 + 10);
  EXPECT_TRUE(std::isnan(y[2])) << "a row that went nowhere";
  EXPECT_FLOAT_EQ(other[3], 10);
  EXPECT_FLOAT_EQ(other[0], 0) << "a result that stays";
}

TEST(MarkLost, TouchesNothingUnlessRowsWereLost) {
  Tensor rows({2, 2}, {1, 2, 3, 4}, 1);
  Ids lost({1}, {0});
  ReferenceOps().mark_lost({rows, lost});
  EXPECT_EQ(rows.values(), (std::vector<float>{1, 2, 3, 4}));
  lost[0] = 1;
  ReferenceOps().mark_lost({rows, lost});
  for (std::int64_t at = 0; at < rows.size(); ++at) EXPECT_TRUE(std::isnan(rows[at]));
}

}  // namespace
}  // namespace caravan::testing
