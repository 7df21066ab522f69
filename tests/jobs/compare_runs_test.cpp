#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"
#include "tests/plot/recorded_run.hpp"

// `caravan compare-runs`: recorded runs whose differences are known, and real ones.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Arguments = std::vector<std::string>;

class CompareRuns : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    first_ = recorded_run(file("first"), falling_losses(40));
  }
  Outcome compare(const std::string& a, const std::string& b, const Arguments& more = {}) const {
    Arguments arguments{"compare-runs", a, b};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caravan(arguments);
  }
  nlohmann::json json(const std::string& a, const std::string& b, int code, Arguments more = {}) const {
    more.push_back("--json");
    const Outcome outcome = compare(a, b, more);
    EXPECT_TRUE(ended_with(outcome, code));
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  /// Three steps with these losses and rates of tokens.
  std::string three(const std::string& name, const Arguments& losses, int tokens = 100) const {
    std::string lines;
    for (std::size_t at = 0; at < losses.size(); ++at)
      lines += step_line(static_cast<std::int64_t>(at) + 1, losses[at],
                         fmt::format(", \"tokens_per_s\": {}", tokens + static_cast<int>(at)));
    return recorded_run(file(name), lines);
  }
  std::string first_;
};

TEST_F(CompareRuns, ARunIsTheSameAsItself) {
  const Outcome outcome = compare(first_, first_, {"--tolerance", "0"});
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("loss            the same at 40 steps\n"));
  EXPECT_THAT(outcome.out, HasSubstr("validation loss the same at 4 steps\n"));
  EXPECT_THAT(outcome.out, HasSubstr("within the tolerance of 0\n"));
}

TEST_F(CompareRuns, TheFirstStepBeyondTheToleranceAndTheLargestDifferenceAreNamed) {
  const std::string a = three("a", {"8", "6", "5"}), b = three("b", {"8.0004", "6.3", "4.9"}, 200);

  const nlohmann::json found = json(a, b, 1, {"--tolerance", "1e-3"});

  const nlohmann::json& loss = found["curves"][0];
  EXPECT_EQ(loss["curve"], "loss");
  EXPECT_EQ(loss["steps"], 3);
  EXPECT_EQ(loss["beyond"], 2);
  EXPECT_EQ(loss["first_beyond"]["step"], 2);
  EXPECT_EQ(loss["first_beyond"]["b"], 6.3);
  EXPECT_NEAR(loss["largest"]["difference"], 0.3 / 6.3, 1e-12);
  EXPECT_EQ(loss["largest"]["step"], 2);
  EXPECT_EQ(loss["last"]["step"], 3);
  EXPECT_NEAR(loss["last"]["difference"], 0.1 / 5, 1e-12);
  EXPECT_EQ(found["a"]["tokens_per_s"], 101);
  EXPECT_EQ(found["b"]["tokens_per_s"], 201);
  EXPECT_EQ(found["within"], false);
  const Outcome people = compare(a, b, {"--tolerance", "1e-3"});
  EXPECT_THAT(
      people.out,
      HasSubstr("loss            apart from step 2 on (6 and 6.3): 2 of 3 steps beyond the tolerance\n"
                "                largest difference 0.0476 at step 2 (6 and 6.3)\n"
                "                last 0.02 at step 3 (5 and 4.9)\n"));
  EXPECT_THAT(people.out, HasSubstr("tokens a second 101 and 201, B/A 1.99 "));
  EXPECT_THAT(people.out, HasSubstr("beyond the tolerance: loss 0.0476 > 0.001\n"));
  EXPECT_TRUE(ended_with(compare(a, b, {"--tolerance", "0.05"}), 0));
  EXPECT_TRUE(ended_with(compare(a, b, {"--tolerance", "1e-3", "--to", "1"}), 0));
}

TEST_F(CompareRuns, ALossThatIsNotFiniteIsBeyondEveryTolerance) {
  const std::string a = three("a", {"8", "6", "null"}), b = three("b", {"8", "6", "5"});
  EXPECT_TRUE(ended_with(compare(a, b, {"--tolerance", "1e30"}), 1));
  EXPECT_TRUE(ended_with(compare(a, a, {"--tolerance", "1e30"}), 1));
  EXPECT_EQ(json(a, b, 1)["curves"][0]["first_beyond"]["step"], 3);
}

TEST_F(CompareRuns, OnlyStepsOfBothAreComparedAndThatIsSaid) {
  const std::string second = recorded_run(file("second"), falling_losses(20));
  const Outcome outcome = compare(first_, second);
  EXPECT_TRUE(ended_with(outcome, 1));
  EXPECT_THAT(outcome.out,
              HasSubstr("A " + first_ + " (40 steps, 1 to 40)\nB " + second + " (20 steps, 1 to 20)\n"));
  EXPECT_EQ(json(first_, second, 1)["curves"][0]["steps"], 20);
}

TEST_F(CompareRuns, WhatDiffersInTheJobsIsListedWithoutNamesAndFolders) {
  const std::string second = recorded_run(file("second"), falling_losses(40));
  EXPECT_THAT(compare(first_, second).out, HasSubstr("jobs            not compared: no job.yaml"));
  spill(first_ + "/job.yaml", "name: one\noutput: x\nseed: 1\ntrain: {lr: 1e-3, steps: 40}\n");
  spill(second + "/job.yaml", "name: two\noutput: y\nseed: 2\ntrain: {lr: 0.001, steps: 50}\n");

  const Outcome outcome = compare(first_, second + "/metrics.jsonl");
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out,
              HasSubstr("jobs            seed: 1 -> 2\n                train.steps: 40 -> 50\n"));
  const nlohmann::json jobs = json(first_, second, 0)["jobs"];
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0], (nlohmann::json{{"key", "seed"}, {"a", "1"}, {"b", "2"}}));
}

TEST_F(CompareRuns, LayoutsOfOneJobAreTheSameAndAnotherRateIsNot) {
  const std::string yaml = job(kMiniJob);
  ASSERT_TRUE(ended_with(run(train(yaml, "one", 0, {"train.steps=4"})), 0));
  ASSERT_TRUE(ended_with(
      run(train(yaml, "two", 2, {"train.steps=4", "train.global_batch_size=2", "parallel.tensor=2"})), 0));
  ASSERT_TRUE(ended_with(run(train(yaml, "three", 0, {"train.steps=4", "train.lr=0.05"})), 0));

  const Outcome other = compare(file("one"), file("three"));
  EXPECT_TRUE(ended_with(other, 1));
  EXPECT_THAT(other.out, HasSubstr("train.lr: "));
  EXPECT_THAT(other.out, HasSubstr("learning rate   apart from step 1 on"));
  EXPECT_THAT(compare(file("one"), file("two")).out, HasSubstr("parallel.tensor: 1 -> 2"));
}

TEST_F(CompareRuns, WhatCannotBeComparedIsRefused) {
  const std::string late = recorded_run(file("late"), step_line(90, "3"));
  const std::vector<std::tuple<Arguments, int, std::string>> cases{
      {{first_, file("nowhere")}, 3, "there is no " + file("nowhere")},
      {{first_, late}, 3, "recorded no loss of the same step"},
      {{first_, first_, "--from", "5", "--to", "4"}, 2, "--from 5 --to 4 (no step is between)"},
      {{first_, first_, "--tolerance", "-1"}, 2, "--tolerance"},
      {{first_}, 2, "b is required"}};
  for (const auto& [arguments, code, why] : cases) {
    Arguments all{"compare-runs"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome outcome = caravan(all);
    EXPECT_TRUE(ended_with(outcome, code)) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
}

TEST_F(CompareRuns, DamagedLinesAndJobsAreSaid) {
  const std::string damaged = recorded_run(file("damaged"), falling_losses(40) + "no json\n");
  const Outcome outcome = compare(first_, damaged);
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("damaged: 1 line is no record of a step; passed over"));
  spill(first_ + "/job.yaml", "seed: 1\n");
  spill(damaged + "/job.yaml", "seed: [1\n");
  const Outcome bad = compare(first_, damaged);
  EXPECT_TRUE(ended_with(bad, 2));
  EXPECT_THAT(bad.err, HasSubstr("damaged/job.yaml"));
}

}  // namespace
}  // namespace caravan::test
