#include "caravan/bf16.hpp"

#include <cstring>

#include "tests/jobs/convert_test.hpp"

// Folders of Meta's format through the executable.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// f32 tensors as bf16.
StoredTensors rounded(const StoredTensors& tensors) {
  StoredTensors all;
  for (const auto& [name, tensor] : tensors) {
    StoredTensor& half = all[name];
    half = {"BF16", tensor.extents, std::vector<std::byte>(tensor.bytes.size() / 2)};
    for (std::size_t i = 0; i < tensor.bytes.size() / 4; ++i) {
      float value = 0;
      std::memcpy(&value, tensor.bytes.data() + 4 * i, 4);
      const std::uint16_t bits = to_bf16(value);
      std::memcpy(half.bytes.data() + 2 * i, &bits, 2);
    }
  }
  return all;
}

TEST_F(ConvertTest, FilesOfTwoRanksAreTheModelRoundedToBf16) {
  CARAVAN_NEED_REFERENCE(meta, "meta_tiny_scout");
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");

  ASSERT_TRUE(ended_with(convert(meta, file("hf"), {"--to", "hf"}), 0));

  EXPECT_THAT(differences(rounded(tensors_of(original)), tensors_of(file("hf"))), IsEmpty());
}

class ModelParallel : public ConvertTest, public ::testing::WithParamInterface<int> {};

TEST_P(ModelParallel, RanksDivideAndComeTogether) {
  for (const char* name : {"tiny_scout", "tiny_maverick"}) {
    CARAVAN_NEED_REFERENCE(original, name);
    const std::string meta = file(std::string(name) + ".meta"), back = file(std::string(name) + ".back");
    const std::string ranks = std::to_string(GetParam());

    ASSERT_TRUE(ended_with(convert(original, meta, {"--to", "meta", "--model-parallel", ranks}, 2), 0));
    ASSERT_TRUE(ended_with(convert(meta, back, {"--to", "hf"}), 0));

    EXPECT_THAT(differences(tensors_of(original), tensors_of(back)), IsEmpty()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ModelParallel, ::testing::Values(1, 2, 4));

TEST_F(ConvertTest, TheModelOfAFolderOfMetaComputes) {
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");
  ASSERT_TRUE(ended_with(convert(original, file("meta"), {"--to", "meta", "--model-parallel", "2"}), 0));
  const std::string inputs = original + "/expected_outputs.safetensors";

  const Outcome outcome = caravan({"forward", "--model", file("meta"), "--inputs", inputs, "--outputs",
                                   file("out.safetensors"), "--device", "host", "--precision", "fp32"});

  ASSERT_TRUE(ended_with(outcome, 0));
  const io::SafetensorsFile ours(file("out.safetensors")), expected(inputs);
  EXPECT_LT(norm_of_difference(ours.read_as_f32("logits"), expected.read_as_f32("logits")), 1e-5);
}

TEST_F(ConvertTest, AConfigurationThatLiesBesideMetasFilesIsNotTheirs) {
  CARAVAN_NEED_REFERENCE(meta, "meta_tiny_scout");
  take(meta);
  spill(file("model/config.json"), R"({"hidden_size": 7})");

  ASSERT_TRUE(ended_with(convert(file("model"), file("hf"), {"--to", "hf"}), 0));

  EXPECT_EQ(json_of("hf/config.json").at("hidden_size"), 64);
}

TEST_F(ConvertTest, WhatRanksOfMetaCannotDivideIsRefused) {
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");
  const Outcome three = convert(original, file("out"), {"--to", "meta", "--model-parallel", "3"});
  EXPECT_TRUE(ended_with(three, 2));
  EXPECT_THAT(three.last_line(), HasSubstr("--model-parallel=3 (512 of tok_embeddings.weight"));
  const Outcome idle = convert(original, file("out"), {"--to", "hf", "--model-parallel", "2"});
  EXPECT_TRUE(ended_with(idle, 2));
  EXPECT_THAT(left_over(), IsEmpty());
}

TEST_F(ConvertTest, AFileOfARankThatIsMissingOrAnothersIsNamed) {
  CARAVAN_NEED_REFERENCE(meta, "meta_tiny_scout");
  take(meta);
  std::filesystem::rename(file("model/consolidated.01.pth"), file("kept"));
  const Outcome half = convert(file("model"), file("out"), {"--to", "hf"});
  EXPECT_TRUE(ended_with(half, 3));
  EXPECT_THAT(half.last_line(), HasSubstr("lacks consolidated.01.pth (layers.0.attention.wo.weight of"));
  std::filesystem::copy(file("kept"), file("model/consolidated.04.pth"));
  const Outcome holes = convert(file("model"), file("out"), {"--to", "hf"});
  EXPECT_TRUE(ended_with(holes, 3));
  EXPECT_THAT(holes.last_line(), HasSubstr("lacks consolidated.01.pth, consolidated.02.pth, "
                                           "consolidated.03.pth (consolidated.04.pth is there)"));
  std::filesystem::rename(file("model/consolidated.00.pth"), file("first"));
  EXPECT_THAT(convert(file("model"), file("out"), {"--to", "hf"}).last_line(),
              HasSubstr("lacks consolidated.00.pth, "));
  std::filesystem::rename(file("first"), file("model/consolidated.00.pth"));
  std::filesystem::remove(file("model/consolidated.04.pth"));
  std::string bytes = slurp(file("kept"));
  bytes.resize(bytes.size() - 100);
  spill(file("model/consolidated.01.pth"), bytes);
  const Outcome cut = convert(file("model"), file("out"), {"--to", "hf"});
  EXPECT_TRUE(ended_with(cut, 3));
  EXPECT_THAT(cut.last_line(), HasSubstr("consolidated.01.pth"));
}

}  // namespace
}  // namespace caravan::test
