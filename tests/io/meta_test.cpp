#include "caravan/error.hpp"

#include <gmock/gmock.h>

#include "io/meta/meta_names.hpp"
#include "io/meta/meta_params.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(MetaNames, EveryNameThatIsWrittenMeansTheSameWhenItIsRead) {
  for (const char* ours : {"tok_embeddings.weight", "norm.weight", "layers.0.attention.wk.weight",
                           "layers.17.moe.experts.w2", "layers.3.feed_forward.w3.weight",
                           "layers.3.attention_norm.weight", "layers.3.moe.router.gate.weight"}) {
    const auto tensor = io::meta_tensor_of(ours);
    ASSERT_TRUE(tensor) << ours;
    const auto again = io::meta_tensor(tensor->name);
    ASSERT_TRUE(again) << tensor->name;
    EXPECT_EQ(again->ours, tensor->ours);
    EXPECT_THAT(again->ours, ::testing::Contains(ours));
  }
}

TEST(MetaNames, OthersAreUnknown) {
  for (const char* name : {"", "layers.", "layers.x.attention.wo.weight", "layers.01.attention.wo.weight",
                           "layers.1.attention.wo", "attention.wo.weight", "layers.1.tok_embeddings.weight"})
    EXPECT_FALSE(io::meta_tensor(name)) << name;
  EXPECT_FALSE(io::meta_tensor_of("layers.1.moe.expert_bias"));
}

TEST(MetaParams, AreTheSameFlatAndNested) {
  const std::string flat = R"({"dim": 64, "n_layers": 2, "n_heads": 4, "norm_eps": 1e-5})";
  const auto a = io::parse_meta_params(flat, "p"),
             b = io::parse_meta_params(R"({"model": )" + flat + "}", "p");
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.kv_heads, 4);
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_TRUE(a.model.find("temperature").is_null()) << "Meta's class has it off";
}

TEST(MetaParams, WhatIsNotReadIsSaidAndWhatCannotBeIsRefused) {
  const auto read = [](const std::string& more) {
    return io::parse_meta_params(R"({"dim": 64, "n_layers": 2, "n_heads": 4)" + more + "}", "p");
  };
  EXPECT_THAT(read(R"(, "window": 3)").warnings, ElementsAre(HasSubstr("window not read")));
  EXPECT_THAT(read("").warnings, IsEmpty());
  EXPECT_THAT(message_of<IoError>([&] { read(R"(, "quantization_args": {"scheme": "fp8_mixed"})"); }),
              HasSubstr("only unquantised weights"));
  EXPECT_THAT(message_of<IoError>([&] { read(R"(, "moe_args": {"num_experts": 0})"); }),
              HasSubstr("num_experts"));
}

TEST(MetaParams, ComeBackAsTheyWereWritten) {
  const std::string text =
      R"({"dim": 64, "n_layers": 8, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "vocab_size": 512,
          "use_scaled_rope": true, "nope_layer_interval": 4, "use_qk_norm": true, "attention_chunk_size": 16,
          "attn_temperature_tuning": true, "floor_scale": 8, "rope_theta": 10000,
          "moe_args": {"num_experts": 4, "interleave_moe_layer_step": 2}})";
  Config model = io::parse_meta_params(text, "p").model;
  Config full = Config::parse("{normalise: false, score_scale: 1, tied_head: false, init_std: 0.02}", "");
  full.merge(model);
  std::vector<std::string> notes;

  const std::string written = io::meta_params_text(full, {176, 96}, notes);

  EXPECT_EQ(io::parse_meta_params(written, "p").model, model);
  EXPECT_THAT(notes, IsEmpty());
}

TEST(MetaWidths, ReleasedOnesAndOthersComeOutOfTheirKeys) {
  EXPECT_EQ(io::widths_by({4.0, 1.2, 2048}, 5120), (io::MetaWidths{16384, 8192}));  // as released
  for (const io::MetaWidths widths :
       {io::MetaWidths{16384, 8192}, {0, 8192}, {16384, 0}, {176, 96}, {128, 128}, {1000, 36}}) {
    const auto rule = io::rule_of_widths(widths, 64);
    ASSERT_TRUE(rule) << widths.dense << " " << widths.expert;
    const io::MetaWidths made = io::widths_by(*rule, 64);
    EXPECT_EQ(widths.dense > 0 ? made.dense : 0, widths.dense);
    EXPECT_EQ(widths.expert > 0 ? made.expert : 0, widths.expert);
  }
  EXPECT_FALSE(io::rule_of_widths({}, 64));
}

/// Meta's code takes the interval as a divisor, and does not read head_dim.
TEST(MetaParams, WhatMetasCodeWouldStumbleOverIsNotWritten) {
  Config model = Config::parse(
      "{vocab_size: 8, dim: 64, layers: 4, heads: 4, norm_eps: 1e-5, rope_theta: 1e4, nope_interval: 0, "
      "nope_offset: 0, qk_norm: false, chunk_size: 0, experts: 0}",
      "");
  std::vector<std::string> notes;
  const std::string text = io::meta_params_text(model, {176, 0}, notes);
  EXPECT_THAT(text, ::testing::Not(HasSubstr("nope_layer_interval")));
  EXPECT_THAT(text, HasSubstr("\"multiple_of\": 176"));
  model.set("head_dim", Config::scalar("32"));
  EXPECT_THAT(message_of<IoError>([&] {
                io::meta_params_text(model, {176, 0}, notes);
              }),
              HasSubstr("model.head_dim=32 (only 16)"));
}

TEST(MetaParams, WhatTheFormatHasNoKeyForIsNamed) {
  const Config model = Config::parse(
      "{vocab_size: 8, dim: 64, layers: 4, heads: 4, norm_eps: 1e-5, rope_theta: 1e4, nope_interval: 0, "
      "nope_offset: 0, qk_norm: false, chunk_size: 0, experts: 2, top_k: 1, moe_step: 1, moe_layers: [0, 3], "
      "tied_head: true, score: softmax, score_scale: 1}",
      "");
  std::vector<std::string> notes;
  EXPECT_THAT(message_of<IoError>([&] { io::meta_params_text(model, {}, notes); }),
              AllOf(HasSubstr("model.moe_layers 0, 3"), HasSubstr("model.tied_head=true"),
                    HasSubstr("model.score=softmax")));
}

}  // namespace
}  // namespace caravan::test
