#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "tests/jobs/job_test.hpp"

// Numbers that the executable refuses, and what it says of numbers that come out.
namespace caravan::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Numbers : public JobTest {
 protected:
  /// train --dry-run, or train, of the mini job; refused within a second, on an idle machine.
  void expect_refused(const std::vector<std::string>& changes, int code, const std::string& words) const {
    for (const bool is_dry : {true, false}) {
      Command command = train(job(kMiniJob), "run", 0, changes);
      if (is_dry) command.arguments.emplace_back("--dry-run");
      const Outcome outcome = run(command);
      EXPECT_TRUE(ended_with(outcome, code)) << changes.front();
      EXPECT_THAT(outcome.err, HasSubstr(words)) << changes.front();
      EXPECT_EQ(outcome.errors(), 1) << outcome.err;
      EXPECT_LT(outcome.seconds, 5) << changes.front();
      EXPECT_FALSE(std::filesystem::exists(file("run"))) << changes.front();
    }
  }
};

TEST_F(Numbers, NaNIsRefusedByEveryOptionOfEveryVerb) {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> verbs{
      {{"generate", "--model", "x"},
       {"--max-new-tokens", "--temperature", "--top-k", "--top-p", "--seed", "--prompt-ids"}},
      {{"inspect", "x"}, {"--depth", "--bins", "--rtol", "--atol"}},
      {{"schedule", "1f1b"}, {"--ranks", "--microbatches", "--stages-per-rank", "--cost"}},
      {{"submit", "x", "--site", "x"}, {"--nodes", "--at-once", "--chain"}},
      {{"data", "prepare", "--input", "x", "--tokenizer", "x", "--output", "x"},
       {"--validation-fraction", "--shard-tokens"}},
      {{"tokenizer", "train", "--input", "x", "--output", "x"}, {"--vocab-size"}},
      {{"bench", "ops"}, {"--repeats", "--seconds", "--batch", "--vocab", "--chunk", "--context"}},
      {{"bench", "step"}, {"--sequence", "--batch", "--microbatches", "--repeats", "--profile"}},
      {{"bench", "recompute"}, {"--sequence", "--batch", "--microbatches", "--repeats"}},
      {{"bench", "pipeline"},
       {"--sequence", "--batch", "--microbatches", "--first-stage-less", "--last-stage-less", "--repeats"}},
      {{"bench", "checkpoint"}, {"--gib", "--repeats", "--sequence", "--every", "--rounds"}}};
  for (const auto& [verb, options] : verbs) {
    for (const std::string& option : options) {
      std::vector<std::string> arguments = verb;
      arguments.push_back(option == "--cost" ? "--cost=F=nan" : option + "=nan");
      // The model of --prompt-ids is opened first.
      if (option == "--prompt-ids") continue;
      const Outcome outcome = caravan(arguments);
      EXPECT_TRUE(ended_with(outcome, 2)) << verb.front() << option;
      EXPECT_THAT(outcome.err, AllOf(HasSubstr(option), HasSubstr("nan"))) << verb.front();
      EXPECT_THAT(outcome.out, IsEmpty());
    }
  }
}

TEST_F(Numbers, OptionsRefuseWhatJobsRefuse) {
  for (const char* value : {"010", "0x3", "18446744073709551616", "-1"}) {
    const Outcome outcome = caravan({"generate", "--model", "x", "--seed", value});
    EXPECT_TRUE(ended_with(outcome, 2)) << value;
    EXPECT_THAT(outcome.err, HasSubstr("error command line: --seed=")) << value;
  }
}

TEST_F(Numbers, TokenIdsOfJsonLinesAreNotCut) {
  const std::string tokenizer = file("t.json");
  spill(file("text"), "to be or not to be, that is the question");
  ASSERT_TRUE(ended_with(
      caravan({"tokenizer", "train", "--input", file("text"), "--vocab-size", "260", "--output", tokenizer}),
      0));
  for (const char* id : {"4294967361", "65.0", "-1", "065"}) {
    spill(file("ids"), std::string("[") + id + "]\n");
    Command command{{"-c", "\"$CARAVAN_BINARY\" tokenizer decode --tokenizer " + tokenizer +
                               " --json-lines < " + file("ids")},
                    0,
                    {},
                    60,
                    "/bin/sh"};
    const Outcome outcome = run(command);
    EXPECT_NE(outcome.code, 0) << id;
    EXPECT_THAT(outcome.out, IsEmpty()) << id;
  }
}

TEST_F(Numbers, SizesThatNoMachineHasAreRefusedBeforeMemoryIsTaken) {
  expect_refused({"model.layers=10000"}, 2, "model.layers=10000 (must be in [1, 1000])");
  expect_refused({"parallel.data_replicate=4294967297"}, 2, "parallel.data_replicate=4294967297 (must be");
  expect_refused(
      {"train.local_batch_size=1048576", "train.global_batch_size=1048576", "train.sequence_length=16777216"},
      2, "train.local_batch_size=1048576 x train.sequence_length=16777216 (at most 2147483647 tokens");
  expect_refused({"train.global_batch_size=16777216"}, 2,
                 "16777216 micro-batches a step (at most 1048575). A smaller train.global_batch_size, or");
  expect_refused(
      {"train.steps=1000000000000", "train.global_batch_size=1048000", "train.sequence_length=16384"}, 2,
      "train.steps=1000000000000 x sequences of a step=1048000 x train.sequence_length=16384 (at most");
  expect_refused({"parallel.stages_per_rank=1000000"}, 2, "parallel.stages_per_rank=1000000 (");
}

TEST_F(Numbers, AModelThatTheMachineCannotHoldIsRefusedBeforeTrainingTakesMemory) {
  for (const std::vector<std::string>& changes :
       {std::vector<std::string>{"model.dim=131072", "model.heads=1024", "model.layers=1000"},
        std::vector<std::string>{"train.sequence_length=16777216", "train.local_batch_size=64",
                                 "train.global_batch_size=64"},
        std::vector<std::string>{"train.sequence_length=16777216", "train.local_batch_size=64",
                                 "train.global_batch_size=64", "train.recompute={budget: 0.5}"}}) {
    const Outcome outcome = run(train(job(kMiniJob), "run", 0, changes));
    EXPECT_TRUE(ended_with(outcome, 1)) << changes.front();
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("needs "), HasSubstr(changes.front().substr(0, changes.front().find('=')))));
    EXPECT_LT(outcome.seconds, 10) << changes.front();
  }
}

TEST_F(Numbers, ALargePresetIsDescribed) {
  const Outcome outcome = run(
      train(job("model: {preset: maverick}\ndevice: reference\ndata: {source: synthetic, vocab_size: 64}\n"
                "train: {steps: 6, sequence_length: 8192}\n"),
            "run", 0, {"--dry-run", "--ranks", "1"}));
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("# parameters\n  400,"));
}

/// Initial weights so large that logits leave the numbers.
constexpr const char* kBrokenModel = R"(name: broken
device: host
model: {vocab_size: 64, dim: 32, layers: 2, heads: 2, width_multiple_of: 32, init_std: 1e30}
data: {source: synthetic, vocab_size: 64}
train: {steps: 1, sequence_length: 16}
checkpoint: {create_seed: true}
)";

TEST_F(Numbers, LogitsThatAreNotFiniteEndAGenerationWithTheirPosition) {
  ASSERT_TRUE(ended_with(run(train(job(kBrokenModel), "broken", 0)), 0));

  for (const std::vector<std::string>& how : {std::vector<std::string>{"--greedy"}, {"--top-k", "5"}}) {
    std::vector<std::string> arguments{"generate", "--model",  file("broken"), "--prompt-ids",
                                       "1 2 3",    "--device", "host"};
    arguments.insert(arguments.end(), how.begin(), how.end());
    const Outcome outcome = caravan(arguments);
    EXPECT_TRUE(ended_with(outcome, 16));
    EXPECT_THAT(
        outcome.err,
        HasSubstr(
            "error the logits after position 2 are not finite (64 of 64; the first, of token 0, is NaN)"));
  }
}

TEST_F(Numbers, TooManyNewTokensForTheMachineAreRefused) {
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "seed", 0, {"checkpoint.create_seed=true"})), 0));
  const std::vector<std::string> generate{"generate", "--model", file("seed"),
                                          "--device", "host",    "--prompt-ids"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = generate;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caravan(arguments);
  };
  const Outcome beyond = with({"1", "--max-new-tokens", "16777216"});
  EXPECT_TRUE(ended_with(beyond, 2));
  EXPECT_THAT(beyond.err, HasSubstr("--max-new-tokens=16777216 (must be in [1, 16777215])"));
  for (const char* ids : {"010", "0x3", "+1", "-1", "4294967297", "nan"}) {
    const Outcome outcome = with({ids});
    EXPECT_TRUE(ended_with(outcome, 2)) << ids;
    EXPECT_THAT(outcome.err, HasSubstr("command line: --prompt-ids")) << ids;
  }
}

TEST_F(Numbers, ATiedHeadStartsNearTheLogarithmOfTheVocabulary) {
  const char* tied = std::getenv("CARAVAN_CASES_DIR");
  std::vector<std::string> jobs{job(R"(name: tied
device: host
model: {vocab_size: 512, dim: 128, layers: 2, heads: 4, width_multiple_of: 32, tied_head: true}
data: {source: synthetic, vocab_size: 512}
train: {steps: 1, sequence_length: 32, local_batch_size: 4}
checkpoint: {enabled: false}
)")};
  if (tied && std::filesystem::exists(std::string(tied) + "/tied.yaml"))
    jobs.push_back(std::string(tied) + "/tied.yaml");
  const double vocabularies[] = {512, 2048};
  for (std::size_t at = 0; at < jobs.size(); ++at) {
    const std::string name = "tied" + std::to_string(at);
    ASSERT_TRUE(ended_with(run(train(jobs[at], name, 0, {"train.steps=1"})), 0));
    const auto losses = series(read_metrics(file(name)), "loss");
    ASSERT_EQ(losses.size(), 1u);
    EXPECT_NEAR(losses.front(), std::log(vocabularies[at]), 0.3) << jobs[at];
  }
}

}  // namespace
}  // namespace caravan::test
