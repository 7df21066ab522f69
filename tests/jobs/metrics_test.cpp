#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"

// What records a run, as a job says it.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class RecordedBy : public JobTest {
 protected:
  Outcome start(const std::string& name, std::vector<std::string> overrides, int ranks = 0) const {
    Command command = train(job(kMiniJob), name, ranks, overrides);
    command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FAILING_PLUGINS;
    return run(command);
  }
  std::set<std::string> files(const std::string& name) const {
    std::set<std::string> found;
    for (const char* each : {"metrics.jsonl", "metrics.csv", "tensorboard", "samples.jsonl"})
      if (fs::exists(file(name + "/" + each))) found.insert(each);
    return found;
  }
  std::vector<std::string> rows(const std::string& name) const {
    std::vector<std::string> steps;
    std::istringstream text(slurp(file(name + "/metrics.csv")));
    for (std::string line; std::getline(text, line);) steps.push_back(line.substr(0, line.find(',')));
    return steps;
  }
};

TEST_F(RecordedBy, WhatTheJobNames) {
  using Files = std::set<std::string>;
  const std::vector<std::pair<std::vector<std::string>, Files>> cases{
      {{}, {"metrics.jsonl", "tensorboard"}},
      {{"metrics=[csv]"}, {"metrics.csv"}},
      {{"metrics=csv"}, {"metrics.csv"}},
      {{"metrics=[]"}, {}},
      {{"metrics.sinks=[jsonl, {name: csv}]"}, {"metrics.jsonl", "metrics.csv"}},
      {{"metrics.tensorboard=false"}, {"metrics.jsonl"}},
      {{"metrics.jsonl=false", "metrics.tensorboard=false"}, {}},
      {{"metrics=[csv]", "metrics.jsonl=true"}, {"metrics.csv", "metrics.jsonl"}},
      {{"metrics.jsonl=true", "metrics.expert_counts=true"}, {"metrics.jsonl", "tensorboard"}},
  };
  int number = 0;
  for (const auto& [overrides, expected] : cases) {
    const std::string name = "run" + std::to_string(number++);
    ASSERT_TRUE(ended_with(start(name, overrides), 0)) << ::testing::PrintToString(overrides);
    EXPECT_EQ(files(name), expected) << ::testing::PrintToString(overrides);
    const Outcome again = caravan({"train", file(name + "/job.yaml"), "output=" + file(name + "-again")});
    ASSERT_TRUE(ended_with(again, 0)) << "the resolved job is a job";
    EXPECT_EQ(files(name + "-again"), expected);
  }
}

TEST_F(RecordedBy, EveryNthStepTheFirstTheLastAndThoseOfAValidation) {
  ASSERT_TRUE(ended_with(
      start("run", {"metrics=[jsonl, {name: csv, every: 4}]", "train.steps=11",
                    "validation={every: 6, batches: 1, data: {source: synthetic, vocab_size: 64}}"}),
      0));
  EXPECT_THAT(rows("run"), ElementsAre("step", "1", "4", "6", "8", "11"));
  EXPECT_EQ(read_metrics(file("run")).size(), 11u);
}

TEST_F(RecordedBy, EverySinkGoesOnWhereTheRunDoes) {
  const std::string sinks = "metrics=[jsonl, csv]";
  ASSERT_TRUE(ended_with(start("run", {sinks, "train.steps=5", "checkpoint.every=4"}), 0));
  fs::remove_all(file("run/checkpoints/step-00000005"));
  ASSERT_TRUE(ended_with(start("run", {sinks, "train.steps=6", "checkpoint.every=4"}), 0));
  EXPECT_THAT(rows("run"), ElementsAre("step", "1", "2", "3", "4", "5", "6"));
  EXPECT_THAT(series(read_metrics(file("run")), "step"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_TRUE(fs::exists(file("run/metrics.former.csv")));
}

/// Whoever reads a file of records, of whichever start, finds no step that was undone.
TEST_F(RecordedBy, NoSinkThatIsLeftOutKeepsStepsThatAreDoneAgain) {
  ASSERT_TRUE(ended_with(
      start("run", {"metrics=[jsonl, csv, tensorboard]", "train.steps=5", "checkpoint.every=3"}), 0));
  fs::remove_all(file("run/checkpoints/step-00000005"));
  const auto event_files = [&] {
    return std::distance(fs::directory_iterator(file("run/tensorboard")), fs::directory_iterator());
  };
  const auto events = event_files();
  const Outcome again = start("run", {"metrics=[]", "train.steps=6", "checkpoint.every=3"});
  ASSERT_TRUE(ended_with(again, 0));
  EXPECT_THAT(rows("run"), ElementsAre("step", "1", "2", "3"));
  EXPECT_THAT(series(read_metrics(file("run")), "step"), ElementsAre(1, 2, 3));
  EXPECT_TRUE(fs::exists(file("run/metrics.former.jsonl")));
  EXPECT_TRUE(fs::exists(file("run/metrics.former.csv")));
  EXPECT_EQ(event_files(), events + 1) << "it declares steps from 4 on void";
  EXPECT_THAT(again.err, HasSubstr("2 records of " + file("run/metrics.jsonl")));
}

TEST_F(RecordedBy, AFileThatIsNoRecordIsLeftAloneAndSaid) {
  ASSERT_TRUE(ended_with(start("run", {"train.steps=5", "checkpoint.every=3"}), 0));
  fs::remove_all(file("run/checkpoints/step-00000005"));
  std::ofstream(file("run/metrics.csv")) << "a table of somebody's own\n";
  const Outcome again = start("run", {"train.steps=6", "checkpoint.every=3"});
  ASSERT_TRUE(ended_with(again, 0));
  EXPECT_THAT(again.err, HasSubstr("metrics.csv:1 is no head of step records"));
  EXPECT_EQ(slurp(file("run/metrics.csv")), "a table of somebody's own\n");
}

TEST_F(RecordedBy, RecordsSayWhatTheRankWithTheMostHas) {
  ASSERT_TRUE(ended_with(start("run", {"metrics.expert_counts=true"}, 2), 0));
  double elapsed = 0;
  for (const auto& step : read_metrics(file("run"))) {
    EXPECT_GT(step.at("host_peak_memory_bytes"), 1e6);
    EXPECT_EQ(step.at("peak_memory_bytes"), step.at("host_peak_memory_bytes")) << "tensors are in the host's";
    EXPECT_GE(step.at("data_s").get<double>(), 0);
    EXPECT_GE(step.at("elapsed_s").get<double>(), elapsed + step.at("step_s").get<double>() - 1e-6);
    elapsed = step.at("elapsed_s");
    double most = 0, sum = 0;
    for (int expert = 0; expert < 4; ++expert) {
      const double rows = step.at("layers.1.moe.tokens_per_expert/" + std::to_string(expert));
      most = std::max(most, rows);
      sum += rows;
    }
    EXPECT_DOUBLE_EQ(step.at("expert_imbalance"), most * 4 / sum);
  }
}

TEST_F(RecordedBy, AnySinksTheRunIsTheSame) {
  ASSERT_TRUE(ended_with(start("usual", {}), 0));
  ASSERT_TRUE(ended_with(start("other", {"metrics=[jsonl, csv, failing]"}), 0));
  EXPECT_EQ(results_of(file("usual")), results_of(file("other")));
  EXPECT_EQ(digests_of(file("usual"), 6), digests_of(file("other"), 6));
}

TEST_F(RecordedBy, AFailingSinkIsSaidOnceAndCostsItsRecordsAlone) {
  const Outcome outcome = start("run", {"metrics=[failing, jsonl]"});
  ASSERT_TRUE(ended_with(outcome, 0));
  const std::string once =
      "warning metrics/failing: the record of step 2 failed: the server is gone; the run goes on";
  EXPECT_THAT(outcome.err, HasSubstr(once));
  EXPECT_EQ(outcome.err.find("the server is gone"), outcome.err.rfind("the server is gone"));
  EXPECT_THAT(outcome.err, HasSubstr("warning metrics/failing lost 3 of its records"));
  EXPECT_EQ(read_metrics(file("run")).size(), 6u);
  EXPECT_THAT(start("number", {"metrics=[{name: failing, when: number}]"}).err,
              HasSubstr("an exception that is no std::exception"));
  EXPECT_THAT(start("flush", {"metrics=[{name: failing, when: flush}]"}).err,
              HasSubstr("metrics/failing: flushing failed: nothing is handed on"));
}

TEST_F(RecordedBy, ASinkThatCannotBeOpenedEndsTheRunBeforeItsFirstStep) {
  const Outcome outcome = start("run", {"metrics=[{name: failing, when: open}]"}, 2);
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("metrics/failing cannot be opened: the server does not answer"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("step 1/6")));
}

TEST_F(RecordedBy, WhatIsWrongIsRefusedByTheDryRunToo) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"metrics=[cvs]", "Did you mean 'csv'?"},
      {"metrics=[csv, csv]", "names csv twice"},
      {"metrics=[{name: csv, evry: 3}]",
       "unknown key 'evry' in metrics.sinks[0] (no parameter of metrics.sinks). Did you mean 'every'?"},
      {"metrics=[{name: csv, every: 0}]", "(must be >= 1)"},
      {"metrics=[{every: 3}]", "key 'name'"},
      {"metrics=[[csv]]", "metrics.sinks"},
      {"metrics.cvs=true", "unknown key 'cvs'"},
      {"metrics=[{name: failing, when: make}]", "no such server"},
  };
  for (const auto& [override, says] : cases) {
    for (const bool is_dry : {false, true}) {
      std::vector<std::string> overrides{override};
      if (is_dry) overrides.push_back("--dry-run");
      const Outcome outcome = start("run", overrides);
      EXPECT_TRUE(ended_with(outcome, 2)) << override << is_dry;
      EXPECT_THAT(outcome.err, HasSubstr(says)) << is_dry;
    }
  }
  ASSERT_TRUE(ended_with(start("run", {"metrics=[jsonl, csv, tensorboard]", "--dry-run"}), 0));
  EXPECT_FALSE(fs::exists(file("run"))) << "a dry run opens no sink";
}

TEST_F(RecordedBy, WhoReadsRecordsSaysThatTheJobWritesNone) {
  ASSERT_TRUE(ended_with(start("run", {"metrics=[csv]"}), 0));
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"plot", file("run")}, {"compare-runs", file("run"), file("run")}}) {
    const Outcome outcome = caravan(verb);
    EXPECT_TRUE(ended_with(outcome, 3));
    EXPECT_THAT(outcome.last_line(), HasSubstr("its job has metrics.sinks=[csv], without jsonl"));
  }
}

}  // namespace
}  // namespace caravan::test
