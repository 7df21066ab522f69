#include <gmock/gmock.h>

#include <filesystem>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/memory_table.hpp"
#include "tests/jobs/run_results.hpp"

// Texts that the model in training writes.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kJob = R"(device: host
model: {vocab_size: 300, dim: 32, layers: 4, heads: 2, width_multiple_of: 32, experts: 4, moe_step: 2}
data: {source: tokens, path: SHARDS, validation_fraction: 0.2}
train: {steps: 6, sequence_length: 128, local_batch_size: 1, global_batch_size: 4, lr: 1e-2, warmup_steps: 1, log_every: 1}
validation: {every: 2, batches: 2}
metrics: [jsonl]
checkpoint: {every: 2}
)";
constexpr const char* kPrompts = "validation.samples=[\"And God\", \"good.\"]";
constexpr const char* kSamples = "validation.samples={prompts: [\"And God\", \"good.\"], max_new_tokens: 20}";

class Samples : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (IsSkipped()) return;
    std::string text;
    for (int verse = 0; verse < 200; ++verse)
      text += "And the evening and the morning were day " + std::to_string(verse) +
              ".\n\nAnd God saw that it was good.\n\n";
    spill(file("text"), text);
    ASSERT_TRUE(ended_with(caravan({"tokenizer", "train", "--input", file("text"), "--vocab-size", "300",
                                    "--output", file("tokenizer.json")}),
                           0));
    ASSERT_TRUE(
        ended_with(caravan({"data", "prepare", "--input", file("text"), "--tokenizer", file("tokenizer.json"),
                            "--output", file("shards"), "--document-separator", "blank-line"}),
                   0));
    std::string yaml = kJob;
    job_ = job(yaml.replace(yaml.find("SHARDS"), 6, file("shards")));
  }
  Outcome start(const std::string& name, const std::vector<std::string>& overrides, int ranks = 0) const {
    return run(train(job_, name, ranks, overrides));
  }
  /// Without times.
  std::vector<nlohmann::json> texts(const std::string& name) const {
    std::vector<nlohmann::json> all;
    std::istringstream lines(slurp(file(name + "/samples.jsonl")));
    for (std::string line; std::getline(lines, line);) {
      all.push_back(nlohmann::json::parse(line));
      all.back().erase("wall_time_s");
    }
    return all;
  }
  std::string job_;
};

TEST_F(Samples, AreWhatGenerateWritesFromTheCheckpointOfTheStep) {
  const Outcome outcome = start("run", {kSamples});
  ASSERT_TRUE(ended_with(outcome, 0));
  const auto all = texts("run");
  ASSERT_EQ(all.size(), 6u) << "two prompts at three validations";
  for (std::size_t at = 0; at < all.size(); ++at) {
    const std::int64_t step = 2 * (1 + static_cast<std::int64_t>(at) / 2);
    EXPECT_EQ(all[at]["step"], step);
    EXPECT_EQ(all[at]["name"], "samples/" + std::to_string(at % 2));
    const std::string prompt = at % 2 == 0 ? "And God" : "good.";
    EXPECT_EQ(all[at]["prompt"], prompt);
    const Outcome generated =
        caravan({"generate", "--model", file("run/checkpoints/step-0000000" + std::to_string(step)),
                 "--prompt", prompt, "--greedy", "--max-new-tokens", "20", "--device", "host", "--json"});
    ASSERT_TRUE(ended_with(generated, 0));
    const auto answer = nlohmann::json::parse(generated.out);
    EXPECT_EQ(all[at]["text"], answer["text"]) << step;
    EXPECT_EQ(all[at]["tokens"], answer["ids"].size());
  }
  EXPECT_THAT(outcome.err, HasSubstr("step 4  samples/1  \"good.\" -> \""));
}

TEST_F(Samples, ChangeNothingOfTheTrainingOnAnyLayout) {
  const std::vector<std::vector<std::string>> layouts{
      {},
      {"parallel.data_shard=2"},
      {"parallel.data_shard=2", "parallel.reshard=never", "train.recompute=full"},
      {"parallel.data_shard=2", "parallel.expert=2"},
      {"parallel.data_replicate=2", "parallel.divide_optimizer=false"},
      {"parallel.tensor=2"},
      {"parallel.tensor=2", "parallel.expert_tensor=tensor"},
  };
  std::vector<nlohmann::json> first;
  for (std::size_t at = 0; at < layouts.size(); ++at) {
    const int ranks = at == 0 ? 0 : 2;
    const std::string with = "with" + std::to_string(at), without = "without" + std::to_string(at);
    std::vector<std::string> overrides = layouts[at];
    ASSERT_TRUE(ended_with(start(without, overrides, ranks), 0)) << at;
    overrides.emplace_back(kSamples);
    ASSERT_TRUE(ended_with(start(with, overrides, ranks), 0)) << at;
    EXPECT_EQ(results_of(file(with)), results_of(file(without))) << at;
    EXPECT_EQ(digests_of(file(with), 6), digests_of(file(without), 6)) << at;
    if (at == 0) first = texts(with);
    EXPECT_EQ(texts(with), first) << at << ": every layout writes the same";
  }
}

TEST_F(Samples, OfATemperatureAreTheSameByTheSeed) {
  const std::string warm =
      "validation.samples={prompts: [And God], max_new_tokens: 20, temperature: 1.5, every: 3}";
  ASSERT_TRUE(ended_with(start("one", {warm}), 0));
  ASSERT_TRUE(ended_with(start("two", {warm}, 2), 0));
  ASSERT_TRUE(ended_with(
      start("greedy", {"validation.samples={prompts: [And God], max_new_tokens: 20, every: 3}"}), 0));
  ASSERT_TRUE(ended_with(start("other", {warm, "seed=9"}), 0));
  ASSERT_EQ(texts("one").size(), 2u) << "steps 3 and 6";
  EXPECT_EQ(texts("one")[0]["step"], 3);
  EXPECT_EQ(texts("one"), texts("two"));
  EXPECT_NE(texts("one"), texts("greedy"));
  EXPECT_NE(texts("one"), texts("other"));
}

TEST_F(Samples, AResumedRunHasEachOnce) {
  ASSERT_TRUE(ended_with(start("whole", {kPrompts, "train.schedule_steps=6"}), 0));
  ASSERT_TRUE(ended_with(start("run", {kPrompts, "train.schedule_steps=6", "train.steps=4"}), 0));
  fs::remove_all(file("run/checkpoints/step-00000004"));
  ASSERT_TRUE(ended_with(start("run", {kPrompts, "train.schedule_steps=6"}), 0));
  EXPECT_EQ(texts("run"), texts("whole"));
  EXPECT_TRUE(fs::exists(file("run/samples.former.jsonl")));
}

TEST_F(Samples, TheirMemoryIsInTheTableOfTheDryRun) {
  const auto planned = [&](const std::string& samples) {
    const Outcome outcome = start("dry", {samples, "--dry-run"});
    EXPECT_TRUE(ended_with(outcome, 0));
    return planned_bytes(outcome.out, "cache and work of samples");
  };
  const double few = planned(kSamples);
  EXPECT_GT(few, 2 * 4 * 2 * 20 * 32) << "keys and values of four layers, at least of the new tokens";
  EXPECT_GT(planned("validation.samples={prompts: [a, b, c, d, e, f, g, h], max_new_tokens: 40}"), few);
  EXPECT_TRUE(std::isnan(planned("validation.samples=null")));
}

TEST_F(Samples, WhatCannotBeIsRefusedByTheDryRunToo) {
  struct Case {
    std::vector<std::string> overrides;
    int ranks;
    std::string says;
  };
  const std::vector<Case> cases{
      {{kSamples, "parallel.pipeline=2"}, 2, "validation.samples with parallel.pipeline=2"},
      {{kSamples, "parallel.context=2"}, 2, "validation.samples with parallel.context=2"},
      {{kSamples, "data={source: synthetic, vocab_size: 300}",
        "validation.data={source: synthetic, vocab_size: 300}"},
       0,
       "names no tokenizer"},
      {{kSamples, "validation.every=0", "validation.batches=0"}, 0, "without a validation"},
      {{"validation.samples={prompts: [And God], max_new_tokens: 128}"}, 0, "max_new_tokens=128"},
      {{"validation.samples={prompts: [And God saw that it was good], max_new_tokens: 127}"},
       0,
       "validation.samples.prompts.0 has "},
      {{"validation.samples=[]"}, 0, "has 0 prompts"},
      {{"validation.samples=[\"\"]"}, 0, "an empty prompt"},
      {{"validation.samples={prompt: [a]}"}, 0, "Did you mean 'prompts'?"},
  };
  for (const Case& bad : cases) {
    for (const bool is_dry : {false, true}) {
      std::vector<std::string> overrides = bad.overrides;
      if (is_dry) overrides.emplace_back("--dry-run");
      const Outcome outcome = start("run", overrides, bad.ranks);
      EXPECT_TRUE(ended_with(outcome, 2)) << bad.says << is_dry;
      EXPECT_THAT(outcome.err, HasSubstr(bad.says)) << is_dry;
    }
  }
  EXPECT_FALSE(fs::exists(file("run/metrics.jsonl")));
}

TEST_F(Samples, WithoutASinkForTextsTheLogSaysSo) {
  const Outcome outcome = start("run", {kSamples, "metrics=[csv]"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("the texts of validation.samples are in the log alone"));
  EXPECT_FALSE(fs::exists(file("run/samples.jsonl")));
}

}  // namespace
}  // namespace caravan::test
