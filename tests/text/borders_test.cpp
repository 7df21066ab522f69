#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/error.hpp"
#include "io/text/load_tokenizer.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/text/reference.hpp"

// What stands around a prompt, and which tokens are BOS and EOS. Expected values: transformers 5.24.
namespace caravan {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kBos = "<|begin_of_text|>";

json added(int id, const char* name) {
  return {{"id", id}, {"content", name}, {"special", true}, {"normalized", false}};
}

json token(const char* name) {
  return {{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
}

json templates(const json& single) {
  const auto known = [](const char* name, int id) {
    return json{{"id", name}, {"ids", json::array({id})}, {"tokens", json::array({name})}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"special_tokens", {{kBos, known(kBos, 1)}, {"<|end_of_text|>", known("<|end_of_text|>", 2)}}}};
}

const json kText = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};

class Borders : public testing::Test {
 protected:
  /// The tokenizer "a" with two added tokens, its post-processor, and its configuration unless that is null.
  std::unique_ptr<Tokenizer> load(const json& post_processor, const json& config = nullptr) {
    const json tokenizer = {
        {"added_tokens", {added(1, kBos), added(2, "<|end_of_text|>")}},
        {"normalizer", {{"type", "Sequence"}, {"normalizers", json::array()}}},
        {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
        {"post_processor", post_processor},
        {"decoder", {{"type", "ByteLevel"}}},
        {"model",
         {{"type", "BPE"},
          {"vocab", {{"a", 0}, {kBos, 1}, {"<|end_of_text|>", 2}}},
          {"merges", json::array()}}},
    };
    test::spill(folder_.file("tokenizer.json"), tokenizer.dump());
    std::filesystem::remove(folder_.file("tokenizer_config.json"));
    if (!config.is_null()) test::spill(folder_.file("tokenizer_config.json"), config.dump());
    return io::load_tokenizer(folder_.path());
  }
  test::TemporaryFolder folder_;
};

TEST_F(Borders, ThePostProcessorAloneSaysWhatStandsAroundAPrompt) {
  const json with_bos = templates({token(kBos), kText}),
             both = templates({token(kBos), kText, token("<|end_of_text|>")});
  const json config = {{"bos_token", kBos}, {"eos_token", "<|end_of_text|>"}};
  json adds = config, adds_not = config;
  adds["add_bos_token"] = true;
  adds_not["add_bos_token"] = false;
  for (const json& said : {json(nullptr), config, adds, adds_not}) {
    EXPECT_THAT(load(nullptr, said)->text_frame().before, IsEmpty()) << said;
    EXPECT_THAT(load({{"type", "ByteLevel"}}, said)->text_frame().before, IsEmpty()) << said;
    EXPECT_THAT(load(with_bos, said)->text_frame().before, ElementsAre(1)) << said;
    const auto tokenizer =
        load({{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, both}}}, said);
    EXPECT_THAT(tokenizer->text_frame().before, ElementsAre(1)) << said;
    EXPECT_THAT(tokenizer->text_frame().after, ElementsAre(2)) << said;
  }
  const json roberta = {{"type", "RobertaProcessing"}, {"cls", {kBos, 1}}, {"sep", {"<|end_of_text|>", 2}}};
  EXPECT_THAT(load(roberta)->text_frame().before, ElementsAre(1));
  EXPECT_THAT(load(roberta)->text_frame().after, ElementsAre(2));
}

TEST_F(Borders, TheConfigurationNamesBosAndEos) {
  EXPECT_EQ(load(nullptr, {{"bos_token", kBos}})->bos(), 1);
  EXPECT_EQ(load(nullptr, {{"bos_token", {{"content", kBos}}}})->bos(), 1);
  EXPECT_EQ(load(nullptr, {{"bos_token", "a"}})->bos(), 0) << "a token of the vocabulary";
  EXPECT_EQ(load(nullptr, {{"eos_token", kBos}})->eos(), 1);
  EXPECT_THAT(test::message_of<IoError>([&] {
                load(nullptr, {{"bos_token", "<s>"}});
              }),
              HasSubstr("bos_token: '<s>' is no token of tokenizer.json"));
}

TEST_F(Borders, NullAndAbsentAreNoToken) {
  for (const json& config : {json{{"bos_token", nullptr}, {"eos_token", nullptr}}, json::object()}) {
    const auto tokenizer = load(nullptr, config);
    EXPECT_FALSE(tokenizer->bos()) << config;
    EXPECT_FALSE(tokenizer->eos()) << config;
  }
  EXPECT_FALSE(load(nullptr)->bos()) << "a name is no reason";
}

TEST_F(Borders, OlderReleasesNameThemInAFileOfTheirOwn) {
  test::spill(folder_.file("special_tokens_map.json"), json{{"bos_token", kBos}, {"eos_token", kBos}}.dump());
  const auto tokenizer = load(nullptr, {{"eos_token", nullptr}});
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_FALSE(tokenizer->eos());
}

TEST_F(Borders, WithoutAConfigurationThePostProcessorGivesBos) {
  EXPECT_EQ(load(templates({token(kBos), kText}))->bos(), 1);
  EXPECT_EQ(load(nullptr)->eos(), 2);
}

TEST_F(Borders, ADisagreementAboutBosIsSaid) {
  const json with_bos = templates({token(kBos), kText});
  testing::internal::CaptureStderr();
  load(with_bos, {{"bos_token", kBos}, {"add_bos_token", false}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::AllOf(HasSubstr("tokenizer_config.json says add_bos_token: false"),
                             HasSubstr("tokenizer.json puts a token before a text")));
  testing::internal::CaptureStderr();
  load(with_bos, {{"bos_token", kBos}});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Borders, AFormatWithoutPostProcessorsBeginsWithBosUnlessTheConfigurationSaysOtherwise) {
  CARAVAN_NEED_REFERENCE(file, "tokenizers/llama4.tokenizer.model");
  std::filesystem::copy(file, folder_.file("tokenizer.model"));
  EXPECT_THAT(io::load_tokenizer(folder_.path())->text_frame().before, ElementsAre(200000));
  test::spill(folder_.file("tokenizer_config.json"), R"({"add_bos_token":false})");
  EXPECT_THAT(io::load_tokenizer(folder_.path())->text_frame().before, IsEmpty());
}

TEST_F(Borders, PostProcessorsThatAreNotKnownAreNamed) {
  const auto refusal = [&](const json& post_processor) {
    return test::message_of<IoError>([&] { load(post_processor); });
  };
  EXPECT_THAT(refusal({{"type", "Nonsense"}}), HasSubstr("post_processor: type 'Nonsense'"));
  EXPECT_THAT(refusal(templates(json::array({token(kBos)}))), HasSubstr("the text stands 0 times"));
  EXPECT_THAT(refusal({{"type", "BertProcessing"}, {"cls", {"x", 9}}, {"sep", {"y", 1}}}),
              HasSubstr("post_processor: id 9 (the vocabulary has 3 ids)"));
}

}  // namespace
}  // namespace caravan
