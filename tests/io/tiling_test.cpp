#include "io/checkpoint/tiling.hpp"

#include <gmock/gmock.h>

#include "caravan/error.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::io {
namespace {

using caravan::testing::message_of;
using ::testing::HasSubstr;

std::string complaint(const Shape& shape, const std::vector<Box>& boxes) {
  return message_of<IoError>([&] { check_tiling({"/model/w", DType::f32, shape}, boxes); });
}

TEST(Tiling, EveryElementOnceIsEnough) {
  EXPECT_EQ(complaint({4, 6}, {Box::whole({4, 6})}), "");
  EXPECT_EQ(complaint({}, {Box::whole({})}), "");
  EXPECT_EQ(complaint({0, 3}, {}), "");
  const std::vector<Box> pinwheel{
      {{0, 0}, {2, 3}}, {{0, 3}, {3, 2}}, {{3, 2}, {2, 3}}, {{2, 0}, {3, 2}}, {{2, 2}, {1, 1}}};
  EXPECT_EQ(complaint({5, 5}, pinwheel), "") << "no line cuts it in two";
  for (std::size_t missing = 0; missing < pinwheel.size(); ++missing) {
    std::vector<Box> some = pinwheel;
    some.erase(some.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_THAT(complaint({5, 5}, some), HasSubstr("of /model/w is in no file")) << missing;
    some = pinwheel;
    some[missing].extents.set(0, some[missing].extents[0] - 1);
    EXPECT_THAT(complaint({5, 5}, some), HasSubstr("of /model/w is in no file")) << missing;
  }
  for (const Box& twice : pinwheel) {
    std::vector<Box> more = pinwheel;
    more.push_back({twice.origin, {1, 1}});
    EXPECT_THAT(complaint({5, 5}, more), HasSubstr("of /model/w is stored twice"));
  }
}

TEST(Tiling, RangesOfThreeAxesAreBoxesThatTile) {
  const Shape shape{3, 4, 5};
  for (std::int64_t step = 1; step <= 60; ++step) {
    std::vector<Box> boxes;
    for (std::int64_t begin = 0; begin < 60; begin += step) {
      for (const Box& box : boxes_of_range(shape, begin, std::min<std::int64_t>(begin + step, 60)))
        boxes.push_back(box);
    }
    EXPECT_EQ(complaint(shape, boxes), "") << step;
  }
}

TEST(Tiling, WhatIsMissingIsNamed) {
  EXPECT_EQ(complaint({4, 6}, {{{0, 0}, {4, 2}}, {{0, 3}, {4, 3}}}), "[0:4, 2:3] of /model/w is in no file");
  EXPECT_EQ(complaint({}, {}), "[] of /model/w is in no file");
  EXPECT_EQ(complaint({}, {Box::whole({}), Box::whole({})}), "[] of /model/w is stored twice");
}

TEST(Tiling, ManyBoxesEndSoon) {
  std::vector<Box> columns;  // each divided at another height: every border crosses all columns
  constexpr std::int64_t kMany = 20'000;
  for (std::int64_t column = 0; column < kMany; ++column) {
    columns.push_back({{0, column}, {column + 1, 1}});
    columns.push_back({{column + 1, column}, {kMany - column, 1}});
  }
  EXPECT_THAT(complaint({kMany + 1, kMany}, columns), HasSubstr("is divided into too many boxes"));
}

TEST(Runs, OfAPieceLieTogetherInTheTensor) {
  const TensorRecord tensor{"/model/w", DType::f32, {4, 3, 2}};
  EXPECT_EQ(runs_of(Piece::whole(tensor)).size(), 1u);
  EXPECT_EQ(runs_of({tensor, {{1, 0, 0}, {2, 3, 2}}}).size(), 1u);
  EXPECT_EQ(runs_of({tensor, {{1, 1, 0}, {1, 2, 2}}}).size(), 1u);
  const std::vector<Box> runs = runs_of({tensor, {{1, 1, 1}, {2, 2, 1}}});
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0], (Box{{1, 1, 1}, {1, 1, 1}}));
  EXPECT_EQ(runs[1], (Box{{1, 2, 1}, {1, 1, 1}}));
  EXPECT_EQ(runs[3], (Box{{2, 2, 1}, {1, 1, 1}}));
}

}  // namespace
}  // namespace caravan::io
