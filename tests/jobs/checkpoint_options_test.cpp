#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include <csignal>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/reader.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"

// What a job may ask of its checkpoints.
namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointOptions : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    job_ = job(kMiniJob);
  }
  void succeed(const std::string& name, int ranks, const std::vector<std::string>& overrides) const {
    const Outcome outcome = run(train(job_, name, ranks, overrides));
    ASSERT_TRUE(ended_with(outcome, 0)) << outcome.err;
  }
  std::string step_path(const std::string& name, std::int64_t step) const {
    return file(name) + "/checkpoints/" + io::step_folder(step);
  }
  std::string job_;
};

TEST_F(CheckpointOptions, WritingBesideTrainingStoresWhatWaitingStores) {
  succeed("beside", 2, {});
  succeed("waiting", 2, {"checkpoint.async=false"});
  for (std::int64_t step : {2, 4, 6})
    EXPECT_EQ(values_of(step_path("beside", step), "/"), values_of(step_path("waiting", step), "/")) << step;
}

TEST_F(CheckpointOptions, OneFileOfAllRanksHoldsWhatShardsHold) {
  succeed("shards", 2, {"parallel.pipeline=2"});
  for (const std::string async : {"true", "false"}) {
    const std::string name = "one-" + async;
    succeed(name, 2,
            {"parallel.pipeline=2", "checkpoint.files=one", "checkpoint.async=" + async,
             "checkpoint.export=fp32"});
    for (std::int64_t step : {2, 4, 6})
      EXPECT_EQ(values_of(step_path(name, step), "/"), values_of(step_path("shards", step), "/")) << step;
    for (const std::string& path : {step_path(name, 6), file(name) + "/export/" + io::step_folder(6)}) {
      EXPECT_FALSE(std::filesystem::exists(path + "/shard-00000.h5")) << path;
      EXPECT_TRUE(ended_with(caravan({"inspect", "--verify", path}), 0)) << path;
    }
  }
}

TEST_F(CheckpointOptions, EveryLayoutReadsEveryOther) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> layouts{
      {"one", {}}, {"data", {"checkpoint.files=one"}}, {"pipeline", {"parallel.pipeline=2"}}};
  for (const auto& [name, overrides] : layouts) succeed(name, name == "one" ? 0 : 2, overrides);
  for (const auto& [from, ignored] : layouts) {
    const auto written = values_of(step_path(from, 6), "/");
    for (const auto& [to, overrides] : layouts) {
      const std::string name = from + "-" + to;
      std::filesystem::copy(file(from), file(name), std::filesystem::copy_options::recursive);
      auto more = overrides;
      more.insert(more.end(), {"train.steps=7", "train.lr=1e-30", "train.schedule_steps=100"});
      succeed(name, to == "one" ? 0 : 2, more);
      const auto read = values_of(step_path(name, 7), "/model/");
      EXPECT_EQ(read.size(), values_of(step_path(from, 6), "/model/").size());
      EXPECT_LE(norm_of_difference(read, values_of(step_path(from, 6), "/model/")), 1e-6) << name;
    }
  }
}

TEST_F(CheckpointOptions, SomeStepsStayForGood) {
  succeed("run", 0,
          {"train.steps=9", "checkpoint.every=1", "checkpoint.keep_latest=2", "checkpoint.keep_every=3"});
  EXPECT_THAT(io::list_steps(file("run")), ElementsAre(3, 6, 8, 9));
}

TEST_F(CheckpointOptions, ASeedIsTheInitialStateOfEveryLayout) {
  succeed("run", 2, {"checkpoint.create_seed=true"});
  EXPECT_THAT(io::list_steps(file("run")), ElementsAre(0));
  succeed("run", 0, {});
  succeed("plain", 0, {});
  EXPECT_EQ(values_of(step_path("run", 6), "/"), values_of(step_path("plain", 6), "/"));
  const Outcome late = run(train(job_, "run", 0, {"checkpoint.create_seed=true", "train.steps=8"}));
  EXPECT_TRUE(ended_with(late, 2));
  EXPECT_THAT(late.last_line(), HasSubstr("(a seed is the checkpoint of step 0)"));
}

TEST_F(CheckpointOptions, TheExportHoldsTheWeightsAloneInTheTypeThatWasAskedFor) {
  succeed("run", 2, {"checkpoint.export=bf16"});
  const std::string path = file("run") + "/export/" + io::step_folder(6);
  const auto reader = io::CheckpointReader::open(path);
  for (const io::TensorRecord& tensor : reader.tensors()) {
    EXPECT_FALSE(tensor.name.starts_with("/optimizer/")) << tensor.name;
    EXPECT_EQ(tensor.dtype, tensor.name.starts_with("/model/") ? DType::bf16 : DType::f32) << tensor.name;
  }
  EXPECT_LE(norm_of_difference(values_of(path, "/model/"), values_of(step_path("run", 6), "/model/")), 3e-3);
  const Outcome use =
      caravan({"generate", "--model", path, "--prompt-ids", "1 2 3", "--max-new-tokens", "2", "--greedy"});
  EXPECT_TRUE(ended_with(use, 0)) << use.err;
}

TEST_F(CheckpointOptions, WhatIsExcludedStartsAnew) {
  succeed("run", 0, {});
  succeed("run", 0, {"train.steps=7", "train.lr=1e-30", "checkpoint.exclude_from_loading=[/optimizer/*]"});
  const auto before = values_of(step_path("run", 6), "/optimizer/exp_avg/"),
             after = values_of(step_path("run", 7), "/optimizer/exp_avg/");
  EXPECT_GT(norm_of_difference(after, before), 0.5) << "a first moment of one step, not of seven";
  EXPECT_LE(norm_of_difference(values_of(step_path("run", 7), "/model/"),
                               values_of(step_path("run", 6), "/model/")),
            1e-6);
  const Outcome part = run(train(
      job_, "run", 0, {"train.steps=8", "checkpoint.exclude_from_loading=[/model/layers.0.attention.wq*]"}));
  EXPECT_TRUE(ended_with(part, 2));
  EXPECT_THAT(part.last_line(), HasSubstr("names 1 of the 3 parts of /model/layers.0.attention.wqkv"));
}

TEST_F(CheckpointOptions, AnExclusionThatDoesNothingIsRefused) {
  succeed("run", 0, {});
  for (const std::string glob : {"optimizer/*", "/optimiser/*", "/model"}) {
    for (const char* how : {"--dry-run", "train.steps=7"}) {
      const Outcome outcome =
          run(train(job_, "run", 0, {"checkpoint.exclude_from_loading=[" + glob + "]", how}));
      EXPECT_TRUE(ended_with(outcome, 2)) << glob;
      EXPECT_THAT(outcome.err, HasSubstr("'" + glob + "' fits nothing in "));
    }
  }
  const Outcome start = run(
      train(job_, "new", 0,
            {"checkpoint.exclude_from_loading=[/optimizer/*]", "checkpoint.initial_load=" + file("run")}));
  EXPECT_TRUE(ended_with(start, 2));
  EXPECT_THAT(start.err, HasSubstr("it is for resuming; weights to start from are loaded whole"));
}

TEST_F(CheckpointOptions, ASecondRunInTheSameFolderIsRefusedWhileTheFirstLives) {
  Program first(train(job_, "run", 0, {"train.steps=1000000", "checkpoint.every=1000"}), folder_.path());
  ASSERT_TRUE(first.wait_for("\nstep ", 60)) << first.err_so_far();
  std::filesystem::create_directory(file("other"));
  const Outcome second = run_program(train(job_, "run", 0, {}), file("other"));
  EXPECT_TRUE(ended_with(second, 3));
  EXPECT_THAT(second.last_line(), HasSubstr("run is in use by process "));
  first.kill_all(SIGKILL);
  first.wait();
  succeed("run", 0, {"checkpoint.every=1000"});
}

}  // namespace
}  // namespace caravan::test
