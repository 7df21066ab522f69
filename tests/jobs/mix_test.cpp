#include <fmt/format.h>
#include <gmock/gmock.h>

#include "caravan/config.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"

// Jobs over mixes of data: the same samples whatever the ranks, said, validated, and the same when they go
// on.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kJob = R"(device: host
seed: 5
model: {vocab_size: 270, dim: 32, layers: 2, heads: 2, width_multiple_of: 32, experts: 4, moe_step: 2}
data: {source: mix, parts: PARTS}
train: {steps: 6, sequence_length: 16, local_batch_size: 1, global_batch_size: 4, lr: 1e-3, warmup_steps: 2, log_every: 1}
checkpoint: {every: 2}
)";

class MixJob : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    std::string text, lines;
    for (int day = 0; day < 60; ++day)
      text += "And the evening and the morning were day " + std::to_string(day) + ".\n";
    for (int line = 0; line < 20; ++line)
      lines += R"({"id": )" + std::to_string(line) + R"(, "body": "Let there be light, line )" +
               std::to_string(line) + "\"}\n";
    spill(file("text"), text);
    spill(file("lines.jsonl"), lines);
    ASSERT_TRUE(ended_with(caravan({"tokenizer", "train", "--input", file("text"), "--vocab-size", "270",
                                    "--output", file("tokenizer.json")}),
                           0));
    ASSERT_TRUE(ended_with(caravan({"data", "prepare", "--input", file("text"), "--tokenizer",
                                    file("tokenizer.json"), "--output", file("shards")}),
                           0));
    std::string yaml = kJob;
    job_ = job(yaml.replace(yaml.find("PARTS"), 5, parts(3, 1)));
  }
  std::string parts(double first, double second, const std::string& lines = "lines.jsonl") const {
    return fmt::format(
        "[{{weight: {}, path: {}}}, {{weight: {}, source: text, path: [{}], field: body, tokenizer: {}, "
        "validation_fraction: 0.3}}]",
        first, file("shards"), second, file(lines), file("tokenizer.json"));
  }
  void expect_same_steps(const std::string& run) const {
    const auto ours = results_of(file(run)), alone = results_of(file("alone"));
    ASSERT_EQ(ours.size(), 6u);
    for (const char* key : {"loss", "grad_norm"})
      EXPECT_LE(largest_relative_difference(series(ours, key), series(alone, key)), 1e-5) << key;
    for (const char* key : {"data_passes", "data_passes/0", "data_passes/1", "valid_tokens"})
      EXPECT_EQ(series(ours, key), series(alone, key)) << key;
  }
  std::string job_;
};

TEST_F(MixJob, ReadsTheSameSamplesOnOneTwoAndFourRanksAndGoingOnOnOthers) {
  ASSERT_TRUE(ended_with(run(train(job_, "alone", 1)), 0));
  for (const int ranks : {2, 4}) {
    const std::string name = "ranks-" + std::to_string(ranks);
    ASSERT_TRUE(ended_with(run(train(job_, name, ranks)), 0));
    expect_same_steps(name);
  }
  int ranks = 4;
  for (const std::string steps : {"2", "4", "6"}) {
    const Outcome outcome =
        run(train(job_, "moved", ranks, {"train.steps=" + steps, "train.schedule_steps=6"}));
    ASSERT_TRUE(ended_with(outcome, 0));
    ranks /= 2;
  }
  expect_same_steps("moved");
}

TEST_F(MixJob, SharesAndPassesAreSaidBeforeAtTheStartAndAtTheEnd) {
  Command dry = train(job_, "run", 0);
  dry.arguments.emplace_back("--dry-run");
  const Outcome planned = run(dry), trained = run(train(job_, "run", 2));
  ASSERT_TRUE(ended_with(planned, 0));
  ASSERT_TRUE(ended_with(trained, 0));
  EXPECT_THAT(planned.out, HasSubstr("\n# data\n  24 samples of 2 parts\n"));
  for (const std::string& text : {planned.out, trained.err}) {
    EXPECT_THAT(text, ::testing::ContainsRegex(
                          "  part 0: 75.00 % of them, 18 samples, 0\\.[0-9]+ passes over [0-9]+ \\(" +
                          file("shards") + "\\)\n"));
    EXPECT_THAT(text, ::testing::ContainsRegex(
                          "  part 1: 25.00 % of them, 6 samples, 0\\.[0-9]+ passes over [0-9]+ \\(" +
                          file("lines.jsonl") + "\\)\n"));
  }
  const std::size_t start = trained.err.find("data until step 6: 24 samples of 2 parts"),
                    first = trained.err.find("step 1/6");
  EXPECT_LT(start, first);
  EXPECT_GT(trained.err.rfind("data until step 6: 24 samples of 2 parts"), trained.err.find("step 6/6"));
  EXPECT_THAT(trained.err, ::testing::ContainsRegex("step 6/6 .*  passes 0\\.[0-9]+  [0-9]+ tokens/s"));
}

TEST_F(MixJob, ChangedWeightsAndPartsAreRefusedAsChangedDataAre) {
  ASSERT_TRUE(ended_with(run(train(job_, "run", 0, {"train.steps=2"})), 0));
  const auto go_on = [&](std::vector<std::string> more) {
    more.emplace_back("train.steps=4");
    return run(train(job_, "run", 0, more));
  };
  const Outcome weights = go_on({"data.parts=" + parts(3, 2)});
  EXPECT_TRUE(ended_with(weights, 3));
  EXPECT_THAT(weights.last_line(),
              HasSubstr("was written by another run: data.parts.1.weight 1 -> 2, data.digest xxh3:"));
  EXPECT_THAT(weights.last_line(), HasSubstr("checkpoint.allow_changes=[data.parts.1.weight, data.digest]"));

  spill(file("copy.jsonl"), slurp(file("lines.jsonl")));
  const Outcome moved = go_on({"data.parts=" + parts(3, 1, "copy.jsonl")});
  EXPECT_TRUE(ended_with(moved, 3));
  EXPECT_THAT(moved.last_line(), HasSubstr("data.parts.1.path"));
  EXPECT_THAT(moved.last_line(), HasSubstr("its tokens are the same by their digest"));

  spill(file("lines.jsonl"), slurp(file("copy.jsonl")) + "{\"body\": \"one more\"}\n");
  const Outcome grown = go_on({});
  EXPECT_TRUE(ended_with(grown, 3));
  EXPECT_THAT(grown.last_line(), HasSubstr("was written by another run: data.digest xxh3:"));

  const Outcome allowed = go_on(
      {"data.parts=" + parts(3, 2), "checkpoint.allow_changes=[data.parts.*, data.digest, data.tokens]"});
  EXPECT_TRUE(ended_with(allowed, 0));
  EXPECT_THAT(allowed.err, HasSubstr("as checkpoint.allow_changes says: data.parts.1.weight 1 -> 2"));
}

TEST_F(MixJob, ItsResolvedJobIsTheSameJob) {
  ASSERT_TRUE(ended_with(run(train(job_, "run", 0)), 0));
  const Config resolved = Config::load(file("run/job.yaml"));
  const Config& part = resolved.at("data").at("parts").items().at(0);
  EXPECT_EQ(part.at("source").text(), "tokens");
  EXPECT_EQ(part.at("weight").text(), "3");
  EXPECT_EQ(part.at("path").text(), file("shards"));
  EXPECT_EQ(part.at("shuffle").text(), "true");
  EXPECT_FALSE(part.has("split") || part.has("seed") || part.has("sequence_length"));
  ASSERT_TRUE(ended_with(caravan({"train", file("run/job.yaml"), "output=" + file("again")}), 0));
  EXPECT_EQ(results_of(file("again")), results_of(file("run")));
  EXPECT_EQ(Config::load(file("again/job.yaml")).at("data"), resolved.at("data"));
}

TEST_F(MixJob, ValidatesTheTailsByTheSameWeights) {
  const Outcome outcome = run(train(job_, "run", 2, {"validation.every=3"}));
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err,
              HasSubstr("validation leaves out " + file("shards") + ", which holds out nothing"));
  const auto metrics = read_metrics(file("run"));
  EXPECT_GT(metrics.at(2).at("validation_loss"), 1.0);
  EXPECT_GT(metrics.at(5).at("validation_loss"), 1.0);
  const std::string none = "data.parts=[{weight: 1, path: " + file("shards") + "}]";
  const Outcome refused = run(train(job_, "other", 0, {"validation.every=3", none}));
  EXPECT_TRUE(ended_with(refused, 2));
  EXPECT_THAT(refused.err, HasSubstr("no part of the mix holds out anything for validation"));
}

TEST_F(MixJob, IsRefusedWhereAPartThatDoesNotRepeatWouldEnd) {
  Batches(5, 16, 64).write(file("rows.safetensors"));
  const std::string mixed = "data.parts=[{weight: 3, path: " + file("shards") +
                            "}, {weight: 1, source: safetensors, path: " + file("rows.safetensors");
  const std::string message = "train.steps=6 with 4 sequences a step need 6 samples of " +
                              file("rows.safetensors") + " (the data has 5";
  const Outcome outcome = run(train(job_, "run", 2, {mixed + "}]"}));
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr(message));
  EXPECT_THAT(outcome.err,
              HasSubstr("warning " + file("rows.safetensors") + " does not say which tokenizer made it"));
  EXPECT_TRUE(ended_with(run(train(job_, "run", 0, {mixed + ", wrap: true}]"})), 0));
}

TEST_F(MixJob, AMistakeInAPartIsNamedWithItsPlace) {
  const auto refusal = [&](const std::string& change) {
    const Outcome outcome = run(train(job_, "run", 2, {change}));
    EXPECT_TRUE(ended_with(outcome, 2));
    EXPECT_EQ(outcome.errors(), 1);
    return outcome.err;
  };
  EXPECT_THAT(refusal("data.parts=[{path: " + file("shards") + "}]"),
              HasSubstr("key 'weight' in data.parts[0] is missing"));
  EXPECT_THAT(refusal("data.parts=7"), HasSubstr("data.parts is not a list"));
  EXPECT_THAT(refusal("data.parts=[{weight: 1, path: " + file("shards") + ", suffle: false}]"),
              HasSubstr("Did you mean 'shuffle'?"));
  EXPECT_THAT(
      refusal("data.parts=[{wieght: 1, path: " + file("shards") + "}]"),
      HasSubstr("unknown key 'wieght' in data.parts[0] (no parameter of a part of a mix). Did you mean "
                "'weight'?"));
  EXPECT_THAT(refusal("data.parts=[{weight: 1, sorce: tokens, path: " + file("shards") + "}]"),
              HasSubstr("Did you mean 'source'?"));
}

}  // namespace
}  // namespace caravan::test
