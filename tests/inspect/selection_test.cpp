#include "jobs/inspect/selection.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/message_of.hpp"

namespace caravan::test {
namespace {

using caravan::testing::message_of;
using jobs::parse_selection;
using ::testing::HasSubstr;

const std::vector<jobs::TensorEntry>& tensors() {
  static const std::vector<jobs::TensorEntry> kTensors = {
      {"/model/w", "f32", {4, 6, 8}, 768, io::NumberType::f32, ""}};
  return kTensors;
}

TEST(ParsePart, ReadsSlicesAsNumpyDoes) {
  const jobs::Selection selection = parse_selection("w[1:-1, 2]", tensors());
  EXPECT_EQ(selection.box.extents, (Shape{2, 1, 8}));
  EXPECT_EQ(selection.box.origin, (Origin{1, 2, 0, 0}));
  EXPECT_EQ(selection.shown, (std::vector<std::uint64_t>{2, 8}));
  EXPECT_EQ(parse_selection("w[:,-2:,:100]", tensors()).box.extents, (Shape{4, 2, 8}));
  EXPECT_EQ(parse_selection("w", tensors()).shown, (std::vector<std::uint64_t>{4, 6, 8}));
  EXPECT_EQ(parse_selection("w[3:1]", tensors()).box.extents.count(), 0);
}

TEST(ParsePart, RefusesWhatTheTensorDoesNotHave) {
  const auto refusal = [](const char* text) {
    return message_of<ConfigError>([&] { parse_selection(text, tensors()); });
  };
  EXPECT_EQ(refusal("w[4]"), "'4' is no part of axis 0 with 4 elements (begin:end or an index is)");
  EXPECT_THAT(refusal("w[0:4:2]"), HasSubstr("'0:4:2' is no part of axis 0"));
  EXPECT_THAT(refusal("w[0,0,0,0]"), HasSubstr("has 4 entries"));
  EXPECT_THAT(refusal("w[x]"), HasSubstr("'x' is no part"));
}

/// Every block size gives every element once, in order.
TEST(ForEachBlock, WalksABoxInRowMajorOrder) {
  const Box box{{1, 0, 2, 0}, {3, 5, 7}};
  for (std::int64_t most : {1, 2, 6, 7, 8, 20, 34, 35, 36, 104, 105, 1000}) {
    std::uint64_t next = 0;
    jobs::for_each_block(box, most, [&](const Origin& origin, const Shape& shape, std::uint64_t first) {
      EXPECT_EQ(first, next) << most;
      EXPECT_LE(shape.count(), most);
      const auto place = static_cast<std::uint64_t>(((origin[0] - 1) * 5 + origin[1]) * 7 + origin[2] - 2);
      EXPECT_EQ(place, first) << most;
      next += static_cast<std::uint64_t>(shape.count());
    });
    EXPECT_EQ(next, 105u) << most;
  }
}

TEST(ForEachBlock, KnowsScalarsAndNothing) {
  int blocks = 0;
  const auto count = [&](const Origin&, const Shape&, std::uint64_t) { ++blocks; };
  jobs::for_each_block({{}, {}}, 8, count);
  EXPECT_EQ(blocks, 1);
  jobs::for_each_block({{}, {3, 0}}, 8, count);
  EXPECT_EQ(blocks, 1);
}

TEST(IndexText, IsThePlaceOfAnElement) {
  EXPECT_EQ(jobs::index_text({4, 6, 8}, 57), "[1, 1, 1]");
  EXPECT_EQ(jobs::index_text({}, 0), "[]");
}

}  // namespace
}  // namespace caravan::test
