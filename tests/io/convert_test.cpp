#include "io/convert/hf_tensors.hpp"

#include "caravan/error.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <numeric>

#include "io/convert/meta_tensors.hpp"
#include "io/convert/shards.hpp"
#include "io/convert/shares.hpp"
#include "io/files/convert.hpp"
#include "io/hf/hf_source.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Weights in memory: element i of a tensor is i.
class CountedSource final : public io::WeightSource {
 public:
  explicit CountedSource(std::map<std::string, Shape> shapes) : shapes_(std::move(shapes)) {}
  std::string description() const override { return "numbers"; }
  std::vector<std::string> names() const override { return {}; }
  bool has(const std::string& name) const override { return shapes_.contains(name); }
  Shape shape(const std::string& name) const override { return shapes_.at(name); }
  DType dtype(const std::string& name) const override {
    return name.ends_with(narrow) ? DType::bf16 : DType::f32;
  }
  std::string narrow = "none";  ///< names that end so are stored as bf16

 private:
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to, int) const override {
    std::vector<float> all(static_cast<std::size_t>(shapes_.at(name).count()));
    std::iota(all.begin(), all.end(), 0.f);
    io::copy_elements(block_of(TensorView(all.data(), DType::f32, shapes_.at(name)), Box{origin, to.shape}),
                      to);
  }
  std::map<std::string, Shape> shapes_;
};

/// The whole tensor, made block by block.
std::vector<float> made(const io::WeightSource& source, const io::MadeTensor& tensor,
                        const std::vector<Box>& blocks) {
  std::vector<float> all(static_cast<std::size_t>(tensor.shape.count()));
  auto* at = all.data();
  for (const Box& block : blocks) {
    io::make_block(source, tensor, block, TensorView(at, DType::f32, block.extents));
    at += block.extents.count();
  }
  return all;
}

TEST(MadeTensors, TheFusedTensorOfExpertsIsTheSameFromAnyBlocks) {
  const Shape shape{2, 3, 4};  // experts, out, in
  const CountedSource source({{"layers.0.moe.experts.w1", shape}, {"layers.0.moe.experts.w3", shape}});
  const io::Selection selection{
      {{"layers.0.moe.experts.w1", shape}, {"layers.0.moe.experts.w3", shape}}, {}, {}};
  const auto tensors = io::hf_tensors(source, selection, "language_model.");

  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "language_model.model.layers.0.feed_forward.experts.gate_up_proj");
  const auto whole = made(source, tensors[0], {Box::whole(tensors[0].shape)});
  EXPECT_THAT(std::vector<float>(whole.begin(), whole.begin() + 6), ElementsAre(0, 4, 8, 0, 4, 8));
  const std::vector<Box> rows{{{0, 0, 0}, {1, 2, 6}}, {{0, 2, 0}, {1, 2, 6}}, {{1, 0, 0}, {1, 4, 6}}};
  EXPECT_EQ(made(source, tensors[0], rows), whole);
}

TEST(MadeTensors, PartsOfDifferentTypesMeetInTheWiderOne) {
  std::map<std::string, Shape> shapes;
  io::Selection selection;
  for (const char* name : {"wq", "wk", "wv"}) {
    selection.weights.push_back({fmt::format("layers.0.attention.{}.weight", name), Shape{4, 8}});
    shapes.emplace(selection.weights.back().name, Shape{4, 8});
  }
  CountedSource source(shapes);
  source.narrow = "wq.weight";
  EXPECT_EQ(io::meta_tensors(source, selection, {2, 2, 2}, 0, 1).at(0).dtype, DType::f32);
  selection.dtype = DType::bf16;
  EXPECT_EQ(io::meta_tensors(source, selection, {2, 2, 2}, 0, 1).at(0).dtype, DType::bf16);
}

TEST(MadeTensors, BlocksFollowEachOtherAndStaySmall) {
  const std::vector<io::MadeTensor> tensors{
      {"rows", DType::f32, {}, {100'000, 5120}, {}},
      {"experts", DType::bf16, {}, {3, 5120, 16384}, {}},
      {"one long row", DType::f32, {}, {1, 100'000, 5120}, {}},
      {"flat", DType::f32, {}, {20'000'000}, {}},
      {"one", DType::f32, {}, {}, {}},
  };
  for (const io::MadeTensor& tensor : tensors) {
    std::int64_t next = 0;
    for (const Box& block : io::blocks_of(tensor)) {
      const auto runs = boxes_of_range(tensor.shape, next, next + block.extents.count());
      ASSERT_EQ(runs.size(), 1u) << tensor.name;
      EXPECT_EQ(runs[0], block) << tensor.name;
      EXPECT_LE(TensorView(nullptr, tensor.dtype, block.extents).bytes(), 256u << 20) << tensor.name;
      next += block.extents.count();
    }
    EXPECT_EQ(next, tensor.shape.count()) << tensor.name;
  }
}

TEST(MadeTensors, WhatNoPartCoversIsZero) {
  const CountedSource source({});
  const io::MadeTensor tensor{"bias", DType::f32, {4}, {4}, {}};
  EXPECT_THAT(made(source, tensor, io::blocks_of(tensor)), ElementsAre(0, 0, 0, 0));
}

TEST(Shares, AreEverythingOnceAndNearlyEqual) {
  const std::vector<std::uint64_t> bytes{5, 1, 1, 1, 8, 2, 2, 30, 1, 9};
  for (int writers : {1, 2, 3, 7, 20}) {
    std::size_t next = 0;
    for (int writer = 0; writer < writers; ++writer) {
      const auto share = io::share_of_list(bytes, writer, writers);
      if (share.begin == share.end) continue;
      EXPECT_EQ(share.begin, next) << writer << " of " << writers;
      next = share.end;
    }
    EXPECT_EQ(next, bytes.size()) << writers;
  }
}

TEST(Shards, ATensorAboveTheSizeHasAFileForItself) {
  std::vector<io::MadeTensor> tensors;
  for (const auto& [name, count] :
       {std::pair("a", 10), {"b", 20}, {"c", 100}, {"d", 10}, {"e", 10}, {"f", 21}})
    tensors.push_back({name, DType::f32, {count}, {count}, {}});

  const io::HfShards shards = io::hf_shards(std::move(tensors), 160);

  std::vector<std::string> files;
  for (const io::FlatFile& file : shards.files) {
    std::string names = file.name + ":";
    for (const auto& placed : file.tensors) names += " " + placed.tensor.name;
    files.push_back(names);
  }
  EXPECT_THAT(files,
              ElementsAre("model-00001-of-00004.safetensors: a b", "model-00002-of-00004.safetensors: c",
                          "model-00003-of-00004.safetensors: d e", "model-00004-of-00004.safetensors: f"));
  EXPECT_THAT(shards.index, HasSubstr("\"total_size\": 684"));
}

TEST(CopiedElements, HalvesKeepTheirBitsOnTheWayThroughFloats) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const io::Half half{static_cast<std::uint16_t>(bits)};
    ASSERT_EQ(io::to_half(io::to_float(half)).bits, half.bits) << bits;
  }
}

TEST(CopiedElements, FloatsAreRoundedToTheNearestHalf) {
  EXPECT_EQ(io::to_half(1.f + 0x1p-11f).bits, 0x3C00);      // a tie: even
  EXPECT_EQ(io::to_half(1.f + 3 * 0x1p-11f).bits, 0x3C02);  // a tie: even
  EXPECT_EQ(io::to_half(1.f + 0x1p-11f + 0x1p-20f).bits, 0x3C01);
  EXPECT_EQ(io::to_half(0x1p-25f).bits, 0);
  EXPECT_EQ(io::to_half(0x1.8p-25f).bits, 1);
  EXPECT_EQ(io::to_half(-0x1.ffcp-15f).bits, 0x8000 | 0x400);  // up to the smallest normal number
  EXPECT_EQ(io::to_half(65519.f).bits, 0x7BFF);
  EXPECT_THAT(message_of<IoError>([] { io::to_half(65520.f); }), HasSubstr("65520 does not fit fp16"));
  EXPECT_TRUE(std::isnan(io::to_float(io::to_half(NAN))));
}

/// The message of one value of `from` copied to `to`; "" where it fits.
template <class From>
std::string refusal_of_copy(From value, DType from, DType to) {
  double room = 0;
  return message_of<IoError>(
      [&] { io::copy_elements(TensorView(&value, from, {1}), TensorView(&room, to, {1})); });
}

TEST(CopiedElements, FiniteValuesDoNotBecomeInfinite) {
  EXPECT_THAT(refusal_of_copy(1e300, DType::f64, DType::f32), HasSubstr("1e+300 does not fit fp32"));
  EXPECT_THAT(refusal_of_copy(-1e300, DType::f64, DType::bf16), HasSubstr("-1e+300 does not fit bf16"));
  EXPECT_THAT(refusal_of_copy(3.4e38, DType::f64, DType::bf16), HasSubstr("does not fit bf16"));
  EXPECT_THAT(refusal_of_copy(3.4e38f, DType::f32, DType::bf16), HasSubstr("does not fit bf16"));
  for (const float fits : {3.38e38f, -INFINITY, INFINITY, NAN}) {
    EXPECT_EQ(refusal_of_copy(fits, DType::f32, DType::bf16), "");
    EXPECT_EQ(refusal_of_copy<double>(fits, DType::f64, DType::f32), "");
  }
}

template <class To>
std::uint16_t bits_of_copy(double value, DType to) {
  To made{};
  io::copy_elements(TensorView(&value, DType::f64, {1}), TensorView(&made, to, {1}));
  return made.bits;
}

TEST(CopiedElements, DoublesAreRoundedOnce) {
  // Above a tie by less than fp32 can show: by way of it they would become the even neighbour below.
  EXPECT_EQ(bits_of_copy<io::Bf16>(1 + 0x1p-8 + 0x1p-40, DType::bf16), 0x3F81);
  EXPECT_EQ(bits_of_copy<io::Half>(1 + 0x1p-11 + 0x1p-40, DType::f16), 0x3C01);
  EXPECT_EQ(bits_of_copy<io::Bf16>(-(1 + 3 * 0x1p-8 - 0x1p-40), DType::bf16), 0xBF81);  // below one
  EXPECT_EQ(bits_of_copy<io::Bf16>(1 + 0x1p-8, DType::bf16), 0x3F80);                   // a tie: even
  EXPECT_EQ(bits_of_copy<io::Half>(0x1p-25 + 0x1p-70, DType::f16), 1);
  EXPECT_EQ(bits_of_copy<io::Half>(0x1p-25, DType::f16), 0);
  EXPECT_EQ(bits_of_copy<io::Half>(-1e-300, DType::f16), 0x8000);
  EXPECT_EQ(bits_of_copy<io::Half>(65519.999999999, DType::f16), 0x7BFF);
  EXPECT_EQ(bits_of_copy<io::Bf16>(-INFINITY, DType::bf16), 0xFF80);
  EXPECT_GT(bits_of_copy<io::Bf16>(NAN, DType::bf16) & 0x7FFF, 0x7F80);
}

TEST(CopiedElements, TransposesOfOneTypeKeepEveryBit) {
  const std::vector<std::uint16_t> from{0x7F81, 1, 2, 3, 4, 5};  // the first is a signalling NaN
  std::vector<std::uint16_t> to(6);
  TensorView source(const_cast<std::uint16_t*>(from.data()), DType::bf16, {2, 3});
  TensorView target(to.data(), DType::bf16, {2, 3});
  target.strides = {1, 2, 0, 0};

  io::copy_elements(source, target);

  EXPECT_THAT(to, ElementsAre(0x7F81, 3, 1, 4, 2, 5));
}

}  // namespace
}  // namespace caravan::test
