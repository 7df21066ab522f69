#include "io/hf/name_map.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::HfForm;
using io::HfStyle;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Same {
  const char* hf;
  const char* ours;
};

class PlainNames : public ::testing::TestWithParam<Same> {};

TEST_P(PlainNames, MapBothWays) {
  const auto placements = io::placements_of(GetParam().hf);
  ASSERT_EQ(placements.size(), 1u);
  EXPECT_EQ(placements[0].ours, GetParam().ours);
  const auto pieces = io::hf_name_and_layout(GetParam().ours, {4, 6}, {});
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].name, GetParam().hf);
  EXPECT_EQ(pieces[0].shape, (Shape{4, 6}));
  EXPECT_EQ(io::hf_name_and_layout(GetParam().ours, {4, 6}, {.prefix = "language_model."})[0].name,
            std::string("language_model.") + GetParam().hf);
}

INSTANTIATE_TEST_SUITE_P(
    All, PlainNames,
    ::testing::Values(Same{"model.embed_tokens.weight", "tok_embeddings.weight"},
                      Same{"model.norm.weight", "norm.weight"}, Same{"lm_head.weight", "output.weight"},
                      Same{"model.layers.12.input_layernorm.weight", "layers.12.attention_norm.weight"},
                      Same{"model.layers.12.post_attention_layernorm.weight", "layers.12.ffn_norm.weight"},
                      Same{"model.layers.0.self_attn.q_proj.weight", "layers.0.attention.wq.weight"},
                      Same{"model.layers.0.self_attn.k_proj.weight", "layers.0.attention.wk.weight"},
                      Same{"model.layers.0.self_attn.v_proj.weight", "layers.0.attention.wv.weight"},
                      Same{"model.layers.0.self_attn.o_proj.weight", "layers.0.attention.wo.weight"},
                      Same{"model.layers.0.feed_forward.gate_proj.weight", "layers.0.feed_forward.w1.weight"},
                      Same{"model.layers.0.feed_forward.down_proj.weight", "layers.0.feed_forward.w2.weight"},
                      Same{"model.layers.0.feed_forward.up_proj.weight", "layers.0.feed_forward.w3.weight"},
                      Same{"model.layers.1.feed_forward.router.weight", "layers.1.moe.router.gate.weight"},
                      Same{"model.layers.1.feed_forward.shared_expert.gate_proj.weight",
                           "layers.1.moe.shared_experts.w1.weight"},
                      Same{"model.layers.1.feed_forward.shared_expert.down_proj.weight",
                           "layers.1.moe.shared_experts.w2.weight"},
                      Same{"model.layers.1.feed_forward.shared_expert.up_proj.weight",
                           "layers.1.moe.shared_experts.w3.weight"}));

TEST(ExpertNames, AFusedTensorHoldsTwoOfOurs) {
  const auto placements = io::placements_of("model.layers.7.feed_forward.experts.gate_up_proj");
  ASSERT_EQ(placements.size(), 2u);
  EXPECT_EQ(placements[0].ours, "layers.7.moe.experts.w1");
  EXPECT_EQ(placements[0].form, HfForm::gate_half);
  EXPECT_EQ(placements[1].ours, "layers.7.moe.experts.w3");
  const auto piece = io::hf_name_and_layout("layers.7.moe.experts.w3", {2, 3, 5}, {}).at(0);
  EXPECT_EQ(piece.name, "model.layers.7.feed_forward.experts.gate_up_proj");
  EXPECT_EQ(piece.shape, (Shape{2, 5, 6}));
  EXPECT_EQ(io::hf_name_and_layout("layers.7.moe.experts.w2", {2, 5, 3}, {}).at(0).shape, (Shape{2, 3, 5}));
}

TEST(ExpertNames, SeparateExpertsAreOneTensorEach) {
  const auto pieces = io::hf_name_and_layout("layers.7.moe.experts.w2", {2, 5, 3},
                                             {"language_model.", HfStyle::Experts::separate});
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].name, "language_model.model.layers.7.feed_forward.experts.1.down_proj.weight");
  EXPECT_EQ(pieces[1].shape, (Shape{5, 3}));
  EXPECT_EQ(pieces[1].placement.expert, 1);
  const auto back = io::placements_of("model.layers.7.feed_forward.experts.11.down_proj.weight");
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].ours, "layers.7.moe.experts.w2");
  EXPECT_EQ(back[0].expert, 11);
}

TEST(ExpertNames, TheViewsShowOurElements) {
  std::vector<float> fused(2 * 5 * 6);  // [E, in, 2 out]
  std::iota(fused.begin(), fused.end(), 0.f);
  const TensorView whole(fused.data(), DType::f32, {2, 5, 6});
  const TensorView up = io::our_view(whole, {"", HfForm::up_half, {}});
  EXPECT_EQ(up.shape, (Shape{2, 3, 5}));
  for (int e = 0; e < 2; ++e) {
    for (int f = 0; f < 3; ++f) {
      for (int h = 0; h < 5; ++h) {
        EXPECT_EQ(up.as<float>()[e * up.stride(0) + f * up.stride(1) + h * up.stride(2)],
                  fused[static_cast<std::size_t>((e * 5 + h) * 6 + 3 + f)]);
      }
    }
  }
}

TEST(UnknownNames, HaveNoPlace) {
  for (const char* name :
       {"model.layers.x.input_layernorm.weight", "model.layers.1.self_attn.q_proj.bias", "x", "model.layers.",
        "model.layers.-1.input_layernorm.weight", "model.layers.1.feed_forward.experts.gate_proj.weight"}) {
    EXPECT_THAT(io::placements_of(name), IsEmpty()) << name;
  }
  for (const char* name : {"layers.1.moe.expert_bias", "layers.x.ffn_norm.weight", "else"}) {
    EXPECT_THAT(message_of<IoError>([&] { io::hf_name_and_layout(name, {1}, {}); }),
                HasSubstr("has no place in Hugging Face's format"));
  }
}

}  // namespace
}  // namespace caravan::test
