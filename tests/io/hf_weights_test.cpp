#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "io/hf/hf_source.hpp"
#include "io/hf/weight_source.hpp"
#include "io/hf/write_tensors.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::HfStyle;
using io::SafetensorsFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Every tensor of a source, in memory.
struct Copies {
  explicit Copies(const io::WeightSource& source) {
    for (const std::string& name : source.names()) {
      const Shape shape = source.shape(name);
      memory.emplace_back(static_cast<std::size_t>(shape.count()));
      tensors.push_back({name, TensorView(memory.back().data(), DType::f32, shape)});
      source.read(name, tensors.back().view);
    }
  }
  std::vector<std::vector<float>> memory;
  std::vector<io::NamedTensor> tensors;
};

void write(const std::string& path, const Copies& copies, const std::optional<HfStyle>& style) {
  io::SafetensorsWriter writer(path);
  io::add_tensors(writer, copies.tensors, style);
  writer.commit();
}

class TinyModel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* reference = std::getenv("CARAVAN_REFERENCE_DIR");
    path_ = std::string(reference ? reference : "") + "/" + GetParam();
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << "no reference data at " << path_;
  }
  std::string path_;
  TemporaryFolder folder_;
};

TEST_P(TinyModel, ComesBackByteForByteUnderItsOwnNames) {
  const io::HfSource source(path_);
  EXPECT_THAT(source.skipped(), ElementsAre());
  write(folder_.file("out.safetensors"), Copies(source), source.hf_style());
  const SafetensorsFile original(path_ + "/model.safetensors"), written(folder_.file("out.safetensors"));
  ASSERT_EQ(written.tensors().size(), original.tensors().size());
  for (const auto& info : original.tensors()) {
    ASSERT_TRUE(written.has(info.name)) << info.name;
    EXPECT_EQ(written.info(info.name).shape(), info.shape());
    EXPECT_EQ(std::memcmp(written.raw(info.name).data(), original.raw(info.name).data(), info.bytes()), 0)
        << info.name;
  }
}

TEST_P(TinyModel, IsTheSameInEverySpelling) {
  const io::HfSource source(path_);
  const Copies expected(source);
  std::vector<std::optional<HfStyle>> styles{std::nullopt};
  for (const char* prefix : {"", "language_model."}) {
    styles.push_back(HfStyle{prefix, HfStyle::Experts::fused});
    styles.push_back(HfStyle{prefix, HfStyle::Experts::separate});
  }
  for (const auto& style : styles) {
    write(folder_.file("model.safetensors"), expected, style);
    const auto again = io::open_weight_source(folder_.file("model.safetensors"));
    EXPECT_EQ(again->hf_style(), style);
    ASSERT_EQ(again->names(), source.names());
    EXPECT_EQ(Copies(*again).memory, expected.memory);
  }
}

TEST_P(TinyModel, BlocksAreTheSlicesOfTheWhole) {
  const io::HfSource source(path_);
  const Shape shape = source.shape("layers.1.moe.experts.w1");
  std::vector<float> whole(static_cast<std::size_t>(shape.count())), block(2 * 3 * 5);
  source.read("layers.1.moe.experts.w1", TensorView(whole.data(), DType::f32, shape));
  source.read_block("layers.1.moe.experts.w1", {1, 7, 11}, TensorView(block.data(), DType::f32, {2, 3, 5}));
  for (std::int64_t i = 0; i < 30; ++i) {
    const auto at = ((1 + i / 15) * shape[1] + 7 + i / 5 % 3) * shape[2] + 11 + i % 5;
    ASSERT_EQ(block[static_cast<std::size_t>(i)], whole[static_cast<std::size_t>(at)]) << i;
  }
  EXPECT_THAT(message_of<IoError>([&] {
                source.read_block("layers.1.moe.experts.w1", {shape[0], 0, 0},
                                  TensorView(block.data(), DType::f32, {2, 3, 5}));
              }),
              HasSubstr("a block of [2, 3, 5] does not lie in it"));
}

TEST_P(TinyModel, IsReadIntoStridedRows) {
  const io::HfSource source(path_);
  std::vector<float> qk(96 * 64, -1.f), wk(32 * 64);
  source.read("layers.0.attention.wk.weight", TensorView(qk.data(), DType::f32, {96, 64}).rows(64, 96));
  source.read("layers.0.attention.wk.weight", TensorView(wk.data(), DType::f32, {32, 64}));
  EXPECT_EQ(std::memcmp(qk.data() + 64 * 64, wk.data(), wk.size() * 4), 0);
  EXPECT_EQ(qk[64 * 64 - 1], -1.f);
}

INSTANTIATE_TEST_SUITE_P(Folders, TinyModel, ::testing::Values("tiny_scout", "tiny_maverick"));

}  // namespace
}  // namespace caravan::test
