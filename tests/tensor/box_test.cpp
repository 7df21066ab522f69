#include "caravan/box.hpp"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "caravan/random.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<Shape> kShapes{{}, {1}, {7}, {3, 5}, {4, 1, 3}, {2, 3, 4}, {1, 1, 6}, {2, 3, 2, 5}};

/// The elements of a box by their index in the whole tensor, in the box's order.
std::vector<std::int64_t> elements(const Shape& shape, const Box& box) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(shape.count())), found;
  std::iota(all.begin(), all.end(), 0);
  const TensorView block = block_of(TensorView(all.data(), DType::i64, shape), box);
  for (std::int64_t index = 0; index < box.extents.count(); ++index) {
    std::int64_t offset = 0, rest = index;
    for (int axis = box.extents.rank(); axis-- > 0;) {
      offset += rest % box.extents[axis] * block.stride(axis);
      rest /= box.extents[axis];
    }
    found.push_back(block.as<std::int64_t>()[offset]);
  }
  return found;
}

/// A box inside of the shape, the next for the next `number`.
Box any_box(const Shape& shape, std::uint64_t number) {
  const auto bits = philox({1, 2}, 0, number), more = philox({1, 2}, 1, number);
  Box box = Box::whole(shape);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    box.origin[at] = bits[at] % shape[axis];
    box.extents.set(axis, 1 + more[at] % (shape[axis] - box.origin[at]));
  }
  return box;
}

TEST(Box, ARangeIsItsBoxesInOrder) {
  for (const Shape& shape : kShapes) {
    for (std::int64_t begin = 0; begin <= shape.count(); ++begin) {
      for (std::int64_t end = begin; end <= shape.count(); ++end) {
        std::vector<std::int64_t> found, wanted(static_cast<std::size_t>(end - begin));
        std::iota(wanted.begin(), wanted.end(), begin);
        const std::vector<Box> boxes = boxes_of_range(shape, begin, end);
        for (const Box& box : boxes) {
          EXPECT_TRUE(is_inside(box, shape));
          const auto some = elements(shape, box);
          found.insert(found.end(), some.begin(), some.end());
        }
        EXPECT_EQ(found, wanted) << to_string(shape) << " from " << begin;
        EXPECT_LE(std::ssize(boxes), std::max(2 * shape.rank() - 1, 1));
      }
    }
  }
}

TEST(Box, WholeRowsAreOneBox) {
  EXPECT_THAT(boxes_of_range({5, 3, 2}, 6, 24), ElementsAre(Box{{1, 0, 0}, {3, 3, 2}}));
  EXPECT_THAT(boxes_of_range({5, 3}, 4, 4), IsEmpty());
}

TEST(Box, CommonRunsAreTheCommonElementsInBoth) {
  for (const Shape& shape : kShapes) {
    for (std::uint64_t number = 0; number < 200; ++number) {
      const Box a = any_box(shape, number), b = any_box(shape, 1000 + number);
      const auto in_a = elements(shape, a), in_b = elements(shape, b);
      std::set<std::int64_t> found;
      for_each_common_run(a, b, [&](std::int64_t first, std::int64_t second, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) {
          EXPECT_EQ(in_a.at(static_cast<std::size_t>(first + i)),
                    in_b.at(static_cast<std::size_t>(second + i)));
          EXPECT_TRUE(found.insert(in_a.at(static_cast<std::size_t>(first + i))).second) << "visited twice";
        }
      });
      EXPECT_EQ(std::ssize(found), intersection(a, b).extents.count()) << to_string(a) << to_string(b);
    }
  }
}

TEST(Box, RunsAreAsLongAsBothAllow) {
  const Box whole = Box::whole({4, 3, 2});
  EXPECT_EQ(CommonRuns(whole, whole).runs(), 1);
  EXPECT_EQ(CommonRuns(whole, {{1, 0, 0}, {2, 3, 2}}).length(), 12);
  EXPECT_EQ(CommonRuns(whole, {{0, 1, 0}, {4, 1, 2}}).runs(), 4);
  EXPECT_EQ(CommonRuns({{0, 0, 0}, {1, 3, 2}}, {{2, 0, 0}, {2, 3, 2}}).runs(), 0);
}

TEST(Box, IsInsideWithoutOverflow) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(is_inside({{1, 2}, {1, 3}}, {2, 5}));
  EXPECT_FALSE(is_inside({{1, 3}, {1, 3}}, {2, 5}));
  EXPECT_FALSE(is_inside({{kMost, 0}, {kMost, 1}}, {2, 5}));
  EXPECT_FALSE(is_inside({{-1, 0}, {1, 1}}, {2, 5}));
  Box negative{{0, 0}, {1, 1}};
  negative.extents.set(0, -1);
  EXPECT_FALSE(is_inside(negative, {2, 5}));
  EXPECT_FALSE(is_inside({{0}, {2}}, {2, 5}));
}

}  // namespace
}  // namespace caravan
