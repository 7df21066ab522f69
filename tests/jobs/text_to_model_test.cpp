#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "tests/jobs/job_test.hpp"

// From a text file to a model that continues it, by the verbs alone.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kJob = R"(device: host
model: {vocab_size: 300, dim: 32, layers: 2, heads: 2, width_multiple_of: 32, experts: 4, moe_step: 2}
data: {source: tokens, path: SHARDS, validation_fraction: 0.2}
train: {steps: 3, sequence_length: 32, local_batch_size: 2, global_batch_size: 4, lr: 1e-2, warmup_steps: 1, log_every: 1}
validation: {every: 2, batches: 2}
checkpoint: {every: 2}
)";

class TextToModel : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    std::string text;
    for (int verse = 0; verse < 200; ++verse) {
      text += "And the evening and the morning were day " + std::to_string(verse) +
              ".\n\nAnd God saw that it was good.\n\n";
    }
    spill(file("text"), text);
  }
  Outcome learn_and_prepare() const {
    const Outcome learned = caravan({"tokenizer", "train", "--input", file("text"), "--vocab-size", "300",
                                     "--output", file("tokenizer.json")});
    EXPECT_TRUE(ended_with(learned, 0));
    return caravan({"data", "prepare", "--input", file("text"), "--tokenizer", file("tokenizer.json"),
                    "--output", file("shards"), "--document-separator", "blank-line", "--json"});
  }
  /// With standard input from a file, and no prompt on the command line.
  Outcome generate_from(const std::string& input) const {
    const std::string line = "exec \"$CARAVAN_BINARY\" generate --model " + file("run") +
                             " --greedy --ignore-eos --max-new-tokens 12 --device host --json < " + input;
    Command command{{"-c", line}, 0, {}, 60};
    command.program = "/bin/sh";
    return run(command);
  }
  std::string shards_job() const {
    std::string yaml = kJob;
    return job(yaml.replace(yaml.find("SHARDS"), 6, file("shards")));
  }
};

TEST_F(TextToModel, EveryVerbTakesWhatTheOneBeforeLeft) {
  const Outcome prepared = learn_and_prepare();
  ASSERT_TRUE(ended_with(prepared, 0));
  EXPECT_EQ(nlohmann::json::parse(prepared.out)["vocab_size"], 300);

  ASSERT_TRUE(ended_with(run(train(shards_job(), "run", 2)), 0));
  const auto metrics = read_metrics(file("run"));
  ASSERT_EQ(metrics.size(), 3u);
  EXPECT_FALSE(metrics[0].contains("validation_loss"));
  for (int step : {1, 2}) {
    EXPECT_GT(metrics[step].at("validation_loss"), 1.0);
    EXPECT_LT(metrics[step].at("validation_loss"), std::log(300.0) + 0.5);
  }
  EXPECT_LT(metrics[2]["loss"], metrics[0]["loss"]);

  const Outcome inspected = caravan({"inspect", file("run"), "--json"});
  ASSERT_TRUE(ended_with(inspected, 0));
  const auto facts = nlohmann::json::parse(inspected.out);
  EXPECT_EQ(facts["step"], 3);
  EXPECT_EQ(facts["tokens_seen"], 3 * 4 * 32);
  EXPECT_EQ(facts["parameters"]["embedding"], 300 * 32);
  EXPECT_EQ(facts["values"]["/state/next_sample"], 12);

  const Outcome generated = caravan({"generate", "--model", file("run"), "--prompt", "And God", "--greedy",
                                     "--ignore-eos", "--max-new-tokens", "12", "--device", "host", "--json"});
  ASSERT_TRUE(ended_with(generated, 0));
  EXPECT_EQ(nlohmann::json::parse(generated.out)["ids"].size(), 12u);

  spill(file("prompt"), "And God");
  spill(file("nothing"), "");
  const Outcome from_input = generate_from(file("prompt"));
  ASSERT_TRUE(ended_with(from_input, 0));
  for (const char* key : {"prompt_ids", "ids", "text"})
    EXPECT_EQ(nlohmann::json::parse(from_input.out)[key], nlohmann::json::parse(generated.out)[key]) << key;
  const Outcome empty = generate_from(file("nothing"));
  EXPECT_TRUE(ended_with(empty, 2));
  EXPECT_THAT(empty.err, HasSubstr("the prompt is empty"));
}

TEST_F(TextToModel, ShardsAreInspectedAsTextThroughTheTokenizerBesideThem) {
  ASSERT_TRUE(ended_with(learn_and_prepare(), 0));
  const auto inspected = [&](const std::string& path) {
    const Outcome outcome = caravan({"inspect", path, "--tokens", "0:40", "--json"});
    EXPECT_TRUE(ended_with(outcome, 0));
    return nlohmann::json::parse(outcome.out);
  };
  const auto of_folder = inspected(file("shards"));
  std::string text;
  std::size_t tokens = 0;
  for (const auto& part : of_folder["parts"]) {
    text += part["text"].get<std::string>();
    tokens += part["ids"].size();
  }
  EXPECT_EQ(tokens, 40u);
  std::string documents = slurp(file("text"));  // the blank lines between them are no tokens
  for (std::size_t at = 0; (at = documents.find("\n\n", at)) != std::string::npos;) documents.erase(at, 1);
  EXPECT_EQ(text, documents.substr(0, text.size()));
  EXPECT_GT(text.size(), 40u);
  std::string shard;
  for (const auto& entry : std::filesystem::directory_iterator(file("shards")))
    if (entry.path().extension() == ".h5") shard = entry.path().string();
  EXPECT_EQ(inspected(shard)["parts"], of_folder["parts"]);
  EXPECT_THAT(caravan({"inspect", file("shards")}).out,
              HasSubstr("document 0 from token 0\n" + text.substr(0, 20)));

  std::filesystem::copy(file("shards"), file("others"));
  spill(file("others/tokenizer.json"), slurp(file("shards/tokenizer.json")) + " ");
  EXPECT_THAT(
      caravan({"inspect", shard.replace(shard.find("/shards/"), 8, "/others/"), "--tokens", "0:9"}).out,
      HasSubstr("is another tokenizer than theirs"));
}

TEST_F(TextToModel, ATerminalIsNoPrompt) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  const Outcome outcome = generate_from(::ptsname(terminal));
  ::close(terminal);
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err,
              HasSubstr("no prompt (neither --prompt nor --prompt-ids, and standard input is a terminal)"));
}

TEST_F(TextToModel, GeneratedTextStreamsAfterThePromptAndASeedRepeatsIt) {
  ASSERT_TRUE(ended_with(learn_and_prepare(), 0));
  ASSERT_TRUE(ended_with(run(train(shards_job(), "run", 0)), 0));
  const auto text = [&](const std::string& seed) {
    const Outcome outcome =
        caravan({"generate", "--model", file("run"), "--prompt", "And God", "--max-new-tokens", "20",
                 "--temperature", "1", "--seed", seed, "--ignore-eos", "--device", "host"});
    EXPECT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.out, ::testing::StartsWith("And God"));
    return outcome.out;
  };
  EXPECT_EQ(text("3"), text("3"));
  EXPECT_NE(text("3"), text("4"));
}

TEST_F(TextToModel, ValidationWithoutANumberIsOnePassAndMoreThanAPassIsCut) {
  ASSERT_TRUE(ended_with(learn_and_prepare(), 0));
  const std::string yaml = shards_job();
  const auto validated = [&](const std::string& run_name, int ranks, const std::string& section) {
    const Outcome outcome = run(train(yaml, run_name, ranks, {"validation=" + section, "train.steps=2"}));
    EXPECT_TRUE(ended_with(outcome, 0)) << section;
    const auto metrics = read_metrics(file(run_name));
    return std::pair(outcome.err, metrics.empty() ? 0.0 : metrics.back().value("validation_loss", 0.0));
  };
  const auto [one, alone] = validated("one", 0, "{every: 2}");
  const auto [two, together] = validated("two", 2, "{every: 2}");
  const auto [many, cut] = validated("many", 0, "{every: 2, batches: 1000}");
  const auto [none, nothing] = validated("none", 0, "{every: 2, batches: 0}");

  EXPECT_THAT(one, ::testing::ContainsRegex("validation: one pass, [0-9]+ micro-batches of 2 sequences of 32 "
                                            "tokens \\([0-9]+ of [0-9]+ samples\\)"));
  EXPECT_GT(alone, 1.0);
  EXPECT_NEAR(together, alone, 1e-5 * alone) << "every number of ranks measures the same samples";
  EXPECT_EQ(cut, alone);
  EXPECT_THAT(many, HasSubstr("validation.batches=1000 is cut to "));
  EXPECT_EQ(nothing, 0.0);
}

TEST_F(TextToModel, ADamagedShardEndsTheRunWithItsName) {
  ASSERT_TRUE(ended_with(learn_and_prepare(), 0));
  const std::string shard = file("shards/tokens-00000-of-00001.h5"), sound = slurp(shard);
  const std::string yaml = shards_job();
  std::string changed = sound;
  changed[sound.size() / 2] = static_cast<char>(changed[sound.size() / 2] ^ 1);
  spill(shard, changed);
  const Outcome damaged = run(train(yaml, "run", 2));
  EXPECT_TRUE(ended_with(damaged, 3));
  EXPECT_THAT(damaged.err, HasSubstr("tokens-00000-of-00001.h5 is damaged"));

  spill(shard, sound);
  std::filesystem::remove(file("shards/tokens-manifest.json"));
  const Outcome foreign = run(train(yaml, "run", 2));
  EXPECT_TRUE(ended_with(foreign, 0));
  EXPECT_THAT(foreign.err, HasSubstr("shards has no tokens-manifest.json"));
}

TEST_F(TextToModel, ShardsOfALargerVocabularyAreRefused) {
  ASSERT_TRUE(ended_with(learn_and_prepare(), 0));
  const Outcome outcome = run(train(shards_job(), "run", 0, {"model.vocab_size=299"}));
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr("the data has token ids up to 299 (the model's vocab_size is 299)"));
}

}  // namespace
}  // namespace caravan::test
