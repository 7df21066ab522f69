#include "io/hf/weight_source.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "io/checkpoint/writer.hpp"
#include "io/hf/hf_source.hpp"
#include "io/hf/model_path.hpp"
#include "io/hf/write_tensors.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Writes tensors of the given shapes, each counting up from 0.
class Folder : public ::testing::Test {
 protected:
  void add(const std::string& name, const Shape& shape) {
    memory_.emplace_back(static_cast<std::size_t>(shape.count()));
    std::iota(memory_.back().begin(), memory_.back().end(), 0.f);
    tensors_.emplace_back(name, TensorView(memory_.back().data(), DType::f32, shape));
  }
  std::string write(const std::string& file = "model.safetensors") {
    io::SafetensorsWriter writer(folder_.file(file));
    for (const auto& [name, view] : tensors_) writer.add(name, view);
    writer.commit();
    return folder_.file(file);
  }
  std::string refusal(const std::string& path) {
    return message_of<IoError>([&] { io::open_weight_source(path); });
  }
  TemporaryFolder folder_;
  std::vector<std::vector<float>> memory_;
  std::vector<std::pair<std::string, TensorView>> tensors_;
};

TEST_F(Folder, TheVisionPartIsSkippedAndSaid) {
  add("language_model.model.norm.weight", {4});
  add("vision_model.class_embedding", {2});
  add("multi_modal_projector.linear_1.weight", {2, 2});
  const auto source = io::open_weight_source(write());
  EXPECT_THAT(source->names(), ElementsAre("norm.weight"));
  EXPECT_THAT(source->skipped(),
              ElementsAre("multi_modal_projector.linear_1.weight", "vision_model.class_embedding"));
}

TEST_F(Folder, ATiedHeadIsSkippedWhereItIsTheEmbedding) {
  add("model.embed_tokens.weight", {8, 4});
  add("lm_head.weight", {8, 4});
  write();
  spill(folder_.file("config.json"), R"({"model_type":"llama4_text","tie_word_embeddings":true})");
  const auto source = io::open_weight_source(folder_.path());
  EXPECT_THAT(source->names(), ElementsAre("tok_embeddings.weight"));
  EXPECT_THAT(source->skipped(), ElementsAre("lm_head.weight"));
  EXPECT_THAT(source->warnings(), ElementsAre());
}

TEST_F(Folder, ATiedHeadWithOtherValuesCountsAndIsSaid) {
  add("model.embed_tokens.weight", {8, 4});
  add("lm_head.weight", {8, 4});
  memory_.back()[31] = -1;
  write();
  spill(folder_.file("config.json"), R"({"model_type":"llama4_text","tie_word_embeddings":true})");
  const auto source = io::open_weight_source(folder_.path());
  EXPECT_THAT(source->names(), ElementsAre("output.weight", "tok_embeddings.weight"));
  EXPECT_THAT(source->warnings(),
              ElementsAre(AllOf(HasSubstr("config.json: tie_word_embeddings is true"),
                                HasSubstr("lm_head.weight stands in " + folder_.file("model.safetensors")))));
}

TEST_F(Folder, ATiedHeadWithoutAnEmbeddingStandsForIt) {
  add("lm_head.weight", {8, 4});
  write();
  spill(folder_.file("config.json"), R"({"model_type":"llama4_text","tie_word_embeddings":true})");
  const auto source = io::open_weight_source(folder_.path());
  EXPECT_THAT(source->names(), ElementsAre("tok_embeddings.weight"));
  EXPECT_EQ(source->shape("tok_embeddings.weight"), (Shape{8, 4}));
  EXPECT_EQ(source->warnings().size(), 1u);
}

TEST_F(Folder, MissingExtraAndWrongAreOneError) {
  add("model.norm.weight", {4});
  add("model.embed_tokens.weight", {8, 4});
  add("model.layers.0.self_attn.q_proj.bias", {4});
  const auto source = io::open_weight_source(write());
  std::vector<io::NamedShape> wanted{{"norm.weight", {5}}, {"tok_embeddings.weight", {8, 4}}};
  for (int layer = 0; layer < 6; ++layer)
    wanted.push_back({"layers." + std::to_string(layer) + ".ffn_norm.weight", {4}});
  EXPECT_THAT(message_of<IoError>([&] { io::check_weights(*source, wanted); }),
              AllOf(HasSubstr("does not fit the model"),
                    HasSubstr("missing: model.layers.0.post_attention_layernorm.weight, "
                              "model.layers.1.post_attention_layernorm.weight, "
                              "model.layers.2.post_attention_layernorm.weight, "
                              "model.layers.3.post_attention_layernorm.weight and 2 more"),
                    HasSubstr("wrong shape: model.norm.weight is [4] instead of [5]"),
                    HasSubstr("not in the model: model.layers.0.self_attn.q_proj.bias")));
  wanted = {
      {"norm.weight", {4}}, {"tok_embeddings.weight", {8, 4}}, {"model.layers.0.self_attn.q_proj.bias", {4}}};
  EXPECT_THAT(message_of<IoError>([&] { io::check_weights(*source, wanted); }),
              HasSubstr("missing: model.layers.0.self_attn.q_proj.bias"));
  wanted.pop_back();
  EXPECT_THAT(io::check_weights(*source, wanted, io::Surplus::left_out),
              ElementsAre("model.layers.0.self_attn.q_proj.bias"));
}

TEST_F(Folder, MissingExpertsAreNamedAsTheFileNamesThem) {
  add("language_model.model.layers.0.feed_forward.experts.down_proj", {2, 3, 4});
  const auto fused = io::open_weight_source(write());
  const std::vector<io::NamedShape> wanted{{"layers.0.moe.experts.w1", {2, 3, 4}},
                                           {"layers.0.moe.experts.w2", {2, 4, 5}},
                                           {"layers.0.moe.experts.w3", {2, 3, 4}}};
  EXPECT_THAT(message_of<IoError>([&] { io::check_weights(*fused, wanted); }),
              AllOf(HasSubstr("missing: language_model.model.layers.0.feed_forward.experts.gate_up_proj;"),
                    HasSubstr("language_model.model.layers.0.feed_forward.experts.down_proj is [2, 3, 4] "
                              "instead of [2, 5, 4]")));
}

TEST_F(Folder, OurStateIsNoExtraTensor) {
  add("tok_embeddings.weight", {8, 4});
  add("layers.1.moe.expert_bias", {4});
  const auto source = io::open_weight_source(write());
  const std::vector<io::NamedShape> wanted{{"tok_embeddings.weight", {8, 4}}};
  EXPECT_NO_THROW(io::check_weights(*source, wanted));
}

TEST_F(Folder, ExpertsMustBeCompleteAndAlike) {
  add("model.layers.0.feed_forward.experts.0.gate_proj.weight", {2, 3});
  add("model.layers.0.feed_forward.experts.2.gate_proj.weight", {2, 3});
  EXPECT_THAT(refusal(write()), HasSubstr("lacks expert 1 of layers.0.moe.experts.w1"));
  add("model.layers.0.feed_forward.experts.1.gate_proj.weight", {3, 2});
  EXPECT_THAT(refusal(write()), HasSubstr("experts.1.gate_proj.weight in " +
                                          folder_.file("model.safetensors") + " has shape [3, 2]"));
}

TEST_F(Folder, OfExpertsInBothLayoutsTheFusedCount) {
  add("model.layers.0.feed_forward.experts.0.gate_proj.weight", {7, 9});
  add("model.layers.0.feed_forward.experts.gate_up_proj", {1, 3, 4});
  const auto source = io::open_weight_source(write());
  EXPECT_EQ(source->shape("layers.0.moe.experts.w1"), (Shape{1, 2, 3}));
  EXPECT_EQ(source->hf_style(), io::HfStyle{});
  EXPECT_THAT(source->warnings(),
              ElementsAre(AllOf(HasSubstr("experts.gate_up_proj"), HasSubstr("experts.0.gate_proj.weight"))));
}

TEST_F(Folder, AFusedTensorNeedsTwoHalves) {
  add("model.layers.0.feed_forward.experts.gate_up_proj", {1, 3, 5});
  EXPECT_THAT(refusal(write()), HasSubstr("has shape [1, 3, 5] ([experts, in, 2 x out] is needed)"));
}

TEST_F(Folder, HalfOfAFusedTensorCannotBeWritten) {
  float values[6] = {};
  io::SafetensorsWriter writer(folder_.file("g.safetensors"));
  const std::vector<io::NamedTensor> half{
      {"layers.0.moe.experts.w1", TensorView(values, DType::f32, {1, 2, 3})}};
  EXPECT_THAT(message_of<IoError>([&] { io::add_tensors(writer, half, io::HfStyle{}); }),
              HasSubstr("gate_up_proj of shape [1, 3, 4] cannot be made from layers.0.moe.experts.w1 alone"));
}

TEST_F(Folder, WholeNumbersAreNoWeights) {
  std::int64_t id = 1;
  io::SafetensorsWriter writer(folder_.file("w.safetensors"));
  writer.add("tok_embeddings.weight", TensorView(&id, DType::i64, {1}));
  writer.commit();
  const auto source = io::open_weight_source(folder_.file("w.safetensors"));
  float to = 0;
  EXPECT_THAT(
      message_of<IoError>([&] { source->read("tok_embeddings.weight", TensorView(&to, DType::f32, {1})); }),
      HasSubstr("a tensor of i64 cannot be read as f32"));
}

TEST_F(Folder, ACheckpointOrARunIsASourceToo) {
  float values[4] = {1, 2, 3, 4};
  for (std::int64_t step : {1, 2}) {
    io::CheckpointWriter writer(folder_.file("checkpoints"), {.step = step}, 0);
    writer.tensor("/model/norm.weight", TensorView(values, DType::f32, {4}));
    writer.tensor("/optimizer/m/norm.weight", TensorView(values, DType::f32, {4}));
    writer.commit();
  }
  std::filesystem::resize_file(folder_.file("checkpoints/step-00000002/checkpoint.h5"), 100);
  const auto source = io::open_weight_source(folder_.path());
  EXPECT_EQ(source->description(), "checkpoint " + folder_.file("checkpoints/step-00000001"));
  EXPECT_THAT(source->names(), ElementsAre("norm.weight"));
  float two[2] = {};
  source->read_block("norm.weight", {2}, TensorView(two, DType::f32, {2}));
  EXPECT_THAT(two, ElementsAre(3, 4));
  EXPECT_EQ(io::resolve_model_path(folder_.path()).skipped.size(), 1u);
}

TEST_F(Folder, PathsThatAreNoModelSayWhatWasLookedFor) {
  EXPECT_THAT(refusal("/nowhere"), HasSubstr("/nowhere does not exist"));
  EXPECT_THAT(refusal(folder_.path()),
              HasSubstr("is no model (neither a Hugging Face folder with config.json"));
  spill(folder_.file("x.bin"), "");
  EXPECT_THAT(refusal(folder_.file("x.bin")), HasSubstr("a file must end in .safetensors or .h5"));
}

TEST(TitanTiny, IsReadUnderItsOwnNames) {
  const char* reference = std::getenv("CARAVAN_REFERENCE_DIR");
  const std::string path =
      std::string(reference ? reference : "") + "/titan_tiny/initial_weights.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no reference data at " << path;
  const auto source = io::open_weight_source(path);
  EXPECT_FALSE(source->hf_style());
  EXPECT_EQ(source->shape("layers.1.moe.experts.w2"), (Shape{4, 64, 96}));
  std::vector<float> norm(64);
  source->read("norm.weight", TensorView(norm.data(), DType::f32, {64}));
  EXPECT_EQ(norm, std::vector<float>(64, 1.f));
}

/// The first alone does not say what all of them need.
TEST(SeparateExperts, OfDifferentTypesAreOfTheWidest) {
  const TemporaryFolder folder;
  std::vector<float> wide(12, 1.f);
  std::vector<std::uint16_t> narrow(12, 0x3F80);
  io::SafetensorsWriter writer(folder.file("w.safetensors"));
  const std::string layer = "model.layers.0.feed_forward.experts.";
  writer.add(layer + "0.down_proj.weight", TensorView(narrow.data(), DType::bf16, {3, 4}));
  writer.add(layer + "1.down_proj.weight", TensorView(wide.data(), DType::f32, {3, 4}));
  writer.commit();
  const io::HfSource source(folder.file("w.safetensors"));
  ASSERT_TRUE(source.has("layers.0.moe.experts.w2"));
  EXPECT_EQ(source.dtype("layers.0.moe.experts.w2"), DType::f32);
}

}  // namespace
}  // namespace caravan::test
