#include <gmock/gmock.h>

#include <map>
#include <numeric>

#include "caravan/parameter.hpp"
#include "tests/support/message_of.hpp"

// What a rank has of a parameter: after cuts that kernels see, and of its elements in memory.
namespace caravan::testing {
namespace {

/// Each element of each part by its index in the whole part.
using Seen = std::map<std::pair<std::size_t, std::int64_t>, int>;

std::int64_t index_in(const Shape& shape, const Box& box, std::int64_t element) {
  std::int64_t index = 0, stride = 1, rest = element;
  for (int axis = shape.rank(); axis-- > 0;) {
    index += (box.begin(axis) + rest % box.extents[axis]) * stride;
    rest /= box.extents[axis];
    stride *= shape[axis];
  }
  return index;
}

std::int64_t value_at(const TensorView& view, std::int64_t element) {
  std::int64_t offset = 0;
  for (int axis = view.shape.rank(); axis-- > 0;) {
    offset += element % view.extent(axis) * view.stride(axis);
    element /= view.extent(axis);
  }
  return view.as<std::int64_t>()[offset];
}

struct Case {
  const char* name;
  Shape shape;
  int part_axis;
  std::vector<std::int64_t> extents;
};

class Fragments : public ::testing::TestWithParam<Case> {
 protected:
  ParameterSpec spec() const {
    ParameterSpec spec{"w", GetParam().shape, ParameterKind::dense, GetParam().part_axis, {}, {}};
    for (const std::int64_t extent : GetParam().extents) spec.parts.push_back({"part", extent, {}});
    return spec;
  }
};

TEST_P(Fragments, AreBoxesOfPartsWhereverTheyBeginAndEnd) {
  Parameter parameter(spec());
  const std::int64_t count = parameter.shape().count();
  std::vector<std::int64_t> memory(static_cast<std::size_t>(count));
  std::iota(memory.begin(), memory.end(), 0);
  for (const std::int64_t stretch : {std::int64_t{1}, std::int64_t{7}, count / 3 + 1, count}) {
    Seen seen;
    for (std::int64_t begin = 0; begin < count; begin += stretch) {
      const std::int64_t end = std::min(count, begin + stretch);
      const Fragment fragment{&parameter, begin, end, {}, {}, {}, {}};
      for (const PartOfFragment& each :
           parts_of(fragment, {memory.data() + begin, DType::i64, {end - begin}})) {
        const TensorView part = parameter.part({memory.data(), DType::i64, parameter.shape()}, each.part);
        for (std::int64_t i = 0; i < each.box.extents.count(); ++i) {
          const std::int64_t index = index_in(parameter.part_shape(each.part), each.box, i);
          EXPECT_EQ(value_at(each.view, i), value_at(part, index));
          ++seen[{each.part, index}];
        }
      }
    }
    EXPECT_EQ(std::ssize(seen), count) << "every element";
    for (const auto& [element, times] : seen) EXPECT_EQ(times, 1);
  }
}

TEST_P(Fragments, OfAWholeParameterAreItsParts) {
  Parameter parameter(spec());
  const Fragment whole{&parameter, 0, parameter.shape().count(), {}, {}, {}, {}};
  const auto parts = parts_of(whole, {nullptr, DType::f32, {whole.count()}});
  ASSERT_EQ(parts.size(), GetParam().extents.size());
  for (std::size_t part = 0; part < parts.size(); ++part)
    EXPECT_EQ(parts[part].box, Box::whole(parameter.part_shape(part)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Fragments,
                         ::testing::Values(Case{"vector", {97}, 0, {97}}, Case{"one", {1}, 0, {1}},
                                           Case{"qkv", {33, 5}, 0, {16, 8, 9}},
                                           Case{"experts", {3, 10, 4}, 1, {5, 5}},
                                           Case{"columns", {4, 6}, 1, {1, 3, 2}},
                                           Case{"four", {2, 3, 4, 5}, 2, {1, 3}}),
                         [](const auto& param) { return param.param.name; });

TEST(Cuts, EachPartIsCutByItselfAndTheRanksHoldItAll) {
  const MeshLayout layout({.dp_shard = 2, .tp = 3, .ep = 2}, 6);
  ParameterSpec spec{"w13", {4, 14, 5}, ParameterKind::expert, 1, {{"w1", 7, {}}, {"w3", 7, {}}}, {}};
  spec.sharding.cuts = {{0, MeshAxis::ep}, {1, MeshAxis::tp}};
  std::vector<Seen> seen(1);
  for (int rank = 0; rank < layout.ranks(); ++rank) {
    const auto mesh = make_paper_mesh(layout, rank);
    const Parameter parameter(spec, mesh.get());
    for (std::size_t part = 0; part < 2; ++part) {
      EXPECT_EQ(parameter.part_shape(part), (Shape{4, 7, 5})) << "the model's";
      const Box& box = parameter.part_box(part);
      EXPECT_EQ(box.extents[0], 2);
      EXPECT_EQ(box.extents[1], mesh->coordinate(MeshAxis::tp) == 0 ? 3 : 2);
      for (std::int64_t i = 0; i < box.extents.count(); ++i) ++seen[0][{part, index_in({4, 7, 5}, box, i)}];
    }
    EXPECT_EQ(parameter.shape()[1], parameter.part_box(0).extents[1] + parameter.part_box(1).extents[1]);
  }
  EXPECT_EQ(seen[0].size(), 2u * 4 * 7 * 5);
}

TEST(Cuts, ARankWithoutElementsIsRefusedOnEveryRank) {
  for (const int rank : {0, 3}) {
    const auto mesh = make_paper_mesh(MeshLayout({.tp = 4}, 4), rank);
    ParameterSpec spec = ParameterSpec::whole("w", {3, 8}, ParameterKind::dense, {});
    spec.sharding.cuts = {{0, MeshAxis::tp}};
    EXPECT_EQ(message_of<ConfigError>([&] { Parameter(spec, mesh.get()); }),
              "parameter 'w' with 3 elements along axis 0 on 4 ranks of tp (each needs one). "
              "Fewer ranks there, or a wider model?");
  }
}

TEST(Cuts, SharesOfAnAxisAreEqualUpToOne) {
  for (std::int64_t extent : {1, 7, 12, 33}) {
    for (int degree : {1, 2, 5, 40}) {
      std::int64_t next = 0, longest = extent;
      for (int at = 0; at < degree; ++at) {
        const AxisRange range = share_of_axis(extent, degree, at);
        EXPECT_EQ(range.begin, next);
        EXPECT_LE(range.size(), longest) << "the longer ones come first";
        longest = range.size();
        next = range.end;
      }
      EXPECT_EQ(next, extent);
    }
  }
}

}  // namespace
}  // namespace caravan::testing
