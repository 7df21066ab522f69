#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"

// Pipelines as users run them: under mpirun, with validation, expert counts, checkpoints and pictures.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using Overrides = std::vector<std::string>;

constexpr double kTolerance = 1e-5;

class Pipeline : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  /// Eight micro-batches of one sequence a step, six layers.
  Outcome start(const std::string& name, int ranks, Overrides overrides) const {
    overrides.insert(overrides.end(), {"model.layers=6", "validation.batches=7"});
    return run(train(job_, name, ranks, overrides));
  }
  std::vector<nlohmann::json> steps_of(const std::string& name, int ranks, const Overrides& overrides) const {
    EXPECT_TRUE(ended_with(start(name, ranks, overrides), 0)) << name;
    return read_metrics(file(name));
  }
  /// A pipeline of `ranks` with this schedule.
  static Overrides pipeline(int ranks, const std::string& schedule, const Overrides& more = {}) {
    Overrides all{"parallel.pipeline=" + std::to_string(ranks), "parallel.schedule=" + schedule};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }
  std::string job_;
};

void expect_close(const std::vector<nlohmann::json>& ours, const std::vector<nlohmann::json>& alone) {
  ASSERT_EQ(ours.size(), alone.size());
  for (std::size_t step = 0; step < alone.size(); ++step) {
    ASSERT_EQ(ours[step].size(), alone[step].size()) << "other numbers are reported in step " << step + 1;
    for (const auto& [key, value] : alone[step].items()) {
      const double expected = value.get<double>(), got = ours[step].at(key).get<double>();
      const bool of_experts = key.find('/') != std::string::npos;
      const bool of_machine = key == "step_s" || key == "data_s" || key.ends_with("_per_s") ||
                              key.ends_with("peak_memory_bytes") || key == "elapsed_s" ||
                              key == "tflop_per_s";
      if (of_machine) continue;
      EXPECT_NEAR(got, expected, of_experts ? 1e-6 : kTolerance * std::abs(expected))
          << key << " of step " << step + 1;
    }
  }
}

TEST_F(Pipeline, ReportsTheLossesValidationAndExpertsOfOneRankOnRank0) {
  const auto alone = steps_of("alone", 1, {"checkpoint.enabled=false"});
  ASSERT_EQ(alone.size(), 10u);
  ASSERT_TRUE(alone[0].contains("layers.5.moe.tokens_per_expert/0")) << "the last stage's experts";
  int number = 0;
  for (const auto& [ranks, overrides] : std::vector<std::pair<int, Overrides>>{
           {2, pipeline(2, "zbv")},
           {2, pipeline(2, "1f1b", {"train.recompute=stage", "parallel.layers_of_stages=[2, 4]"})},
           {4, pipeline(2, "interleaved_1f1b")},
           {4, pipeline(4, "dualpipev")}}) {
    SCOPED_TRACE(overrides[1] + " on " + std::to_string(ranks));
    Overrides all = overrides;
    all.push_back("checkpoint.enabled=false");
    expect_close(steps_of("run" + std::to_string(++number), ranks, all), alone);
  }
}

TEST_F(Pipeline, ChangesItsLayoutAtACheckpoint) {
  const auto alone = steps_of("alone", 1, {});
  // Stops after steps 3 and 6, each time to go on as another pipeline.
  ASSERT_TRUE(ended_with(start("changing", 2, pipeline(2, "zbv", {"train.steps=3"})), 0));
  ASSERT_TRUE(ended_with(start("changing", 4, pipeline(2, "1f1b", {"train.steps=6"})), 0));
  ASSERT_TRUE(ended_with(start("changing", 1, {"train.steps=8"}), 0));
  ASSERT_TRUE(ended_with(start("changing", 4, pipeline(4, "v_half")), 0));
  const auto steps = read_metrics(file("changing"));
  for (const char* key : {"loss", "grad_norm", "tokens_seen"}) {
    EXPECT_LE(largest_relative_difference(series(steps, key), series(alone, key)), kTolerance) << key;
  }
}

TEST_F(Pipeline, WritesTheSameTensorsAsOneRank) {
  const Overrides tied{"model.tied_head=true", "train.steps=3"};
  ASSERT_TRUE(ended_with(start("alone", 1, tied), 0));
  ASSERT_TRUE(ended_with(start("piped", 4, pipeline(4, "1f1b", tied)), 0));
  const auto tensors = [&](const std::string& name) {
    const Outcome outcome = caravan({"inspect", "--json", file(name)});
    EXPECT_TRUE(ended_with(outcome, 0));
    std::vector<std::string> names;
    const auto listing = nlohmann::json::parse(outcome.out);
    for (const auto& tensor : listing.at("tensors"))
      names.push_back(tensor.at("name").get<std::string>() + tensor.at("shape").dump());
    std::sort(names.begin(), names.end());
    return names;
  };
  const auto alone = tensors("alone");
  EXPECT_GT(alone.size(), 100u);
  EXPECT_EQ(tensors("piped"), alone);
}

TEST_F(Pipeline, DrawsAMeasuredStepBesideItsPlan) {
  ASSERT_TRUE(
      ended_with(start("drawn", 2, pipeline(2, "zbv", {"metrics.timeline_step=4", "train.steps=5"})), 0));
  for (const char* name : {"timeline-4.svg", "plan-4.svg", "timeline-4.json"}) {
    ASSERT_TRUE(std::filesystem::exists(file(std::string("drawn/") + name))) << name;
  }
  std::ifstream trace(file("drawn/timeline-4.json"));
  const auto events = nlohmann::json::parse(trace).at("traceEvents");
  const auto walks = std::count_if(events.begin(), events.end(), [](const auto& event) {
    return event.value("ph", "") == "X" && event.value("tid", -1) == 0 && event.value("dur", 0.0) > 0;
  });
  EXPECT_EQ(walks, 4 * 3 * 8) << "four stages, F, I and W, eight micro-batches";
}

TEST_F(Pipeline, DryRunNamesTheStagesAndTheirRanks) {
  const Outcome outcome = run({{"train", job_, "--dry-run", "model.layers=6", "parallel.pipeline=2",
                                "parallel.schedule=zbv", "output=" + file("dry")},
                               2,
                               {},
                               60});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("0 on pipeline rank 0: tok_embeddings .. layers.0"));
  EXPECT_THAT(outcome.out, HasSubstr("1 on pipeline rank 1: layers.1 .. layers.2"));
  EXPECT_THAT(outcome.out, HasSubstr("3 on pipeline rank 0: layers.5 .. output"));
  EXPECT_THAT(outcome.out, HasSubstr("schedule zbv"));
  EXPECT_FALSE(std::filesystem::exists(file("dry")));
}

struct Mistake {
  const char* name;
  int ranks;
  Overrides overrides;
  const char* message;
};

class BadPipeline : public Pipeline, public ::testing::WithParamInterface<Mistake> {};

TEST_P(BadPipeline, IsRefusedBeforeAnythingIsMade) {
  Overrides overrides = GetParam().overrides;
  overrides.push_back("parallel.pipeline=" + std::to_string(GetParam().ranks));
  const Outcome outcome = start("run", GetParam().ranks, overrides);
  ASSERT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().message));
  EXPECT_EQ(outcome.errors(), 1) << "one message a cause\n" << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(file("run")));
}

const Mistake kMistakes[] = {
    {"TooFewMicrobatches",
     2,
     {"parallel.schedule=1f1b", "train.global_batch_size=1"},
     "microbatches=1 (1f1b with 2 ranks needs at least 2). Use 2, or gpipe?"},
    {"TooFewForAV",
     4,
     {"parallel.schedule=dualpipev", "train.global_batch_size=7"},
     "microbatches=7 (dualpipev with 4 ranks needs at least 8, one a stage). Use 8, or zbv?"},
    {"UnequalRounds",
     4,
     {"parallel.schedule=interleaved_1f1b", "train.global_batch_size=9"},
     "microbatches=9 (interleaved_1f1b with 4 ranks needs 2 rounds of equal length). Use 8 or 10?"},
    {"MoreStagesThanLayers",
     4,
     {"parallel.schedule=zbv", "parallel.layers_of_stages=[1, 1, 1, 1, 1, 1]"},
     "layers_of_stages=[1, 1, 1, 1, 1, 1] gives 6 layers to 6 stages (the model has 6 layers and the "
     "pipeline 8 "
     "stages)"},
    {"StagesThatTheLayersCannotFill",
     4,
     {"parallel.schedule=looped_bfs", "parallel.stages_per_rank=3"},
     "12 stages for 6 layers"},
    {"UnknownSchedule", 2, {"parallel.schedule=zvb"}, "no schedule 'zvb'"},
    {"NearestSchedule", 2, {"parallel.schedule=zvb"}, "Did you mean 'zbv'?"},
    {"TwoStagesFor1f1b", 2, {"parallel.stages_per_rank=2"}, "parallel.stages_per_rank=2 (1f1b has 1 to 1)"},
    {"MicrobatchesTwice",
     2,
     {"parallel.microbatches=4"},
     "parallel.microbatches=4 and train.global_batch_size=8"},
    {"CsvWithoutAFile",
     2,
     {"parallel.schedule=csv"},
     "key 'file' in parallel.schedule_options is missing (schedule 'csv' needs it"},
    {"AFileWithoutCsv", 2, {"parallel.schedule_options.file=x.csv"}, "unknown key 'file'"},
    {"MoreRanksThanThereAre", 2, {"parallel.data_replicate=2"}, "pipeline=2 x data_replicate=2"},
};

INSTANTIATE_TEST_SUITE_P(Mistakes, BadPipeline, ::testing::ValuesIn(kMistakes),
                         [](const auto& test) { return test.param.name; });

struct BadFile {
  const char* name;
  const char* csv;
  const char* message;
};

class BadScheduleFile : public Pipeline, public ::testing::WithParamInterface<BadFile> {};

TEST_P(BadScheduleFile, IsRefusedWithItsPlace) {
  const std::string path = write("plan.csv", GetParam().csv);
  const Outcome outcome = start(
      "run", 2, pipeline(2, "csv", {"parallel.schedule_options.file=" + path, "train.global_batch_size=2"}));
  ASSERT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().message));
  EXPECT_THAT(outcome.err, HasSubstr(path)) << "the file";
  EXPECT_FALSE(std::filesystem::exists(file("run")));
}

const BadFile kFiles[] = {
    {"BadCell", "0F0,0F1,0B0,0X1\n1F0,1B0,1F1,1B1\n", "row 1, column 4: '0X1' is no action"},
    {"MissingAction", "0F0,0F1,0B0\n1F0,1B0,1F1,1B1\n", "rank 0 lacks 0B1"},
    {"DoubledAction", "0F0,0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n", "rank 0, step 2 (0F0): 0F0 is done twice"},
    {"MisorderedAction", "0F0,0B0,0F1,0B1\n1B0,1F0,1F1,1B1\n", "rank 1, step 1 (1B0): 1B0 is out of order"},
    {"Deadlock", "0F0,0B0,0F1,0B1\n1F1,1F0,1B0,1B1\n",
     "deadlock: every rank waits for another. Stuck: rank 0, step 2 (0B0); rank 1, step 1 (1F1)"},
    {"OneRow", "0F0,1F0,1B0,0B0,0F1,1F1,1B1,0B1\n", "ranks=2"},
    {"StageOnTwoRanks", "0F0,1F0,1B0,0B0\n0F1,1F1,1B1,0B1\n", "stage 0"},
    {"Empty", "", "no action"},
};

INSTANTIATE_TEST_SUITE_P(Files, BadScheduleFile, ::testing::ValuesIn(kFiles),
                         [](const auto& test) { return test.param.name; });

/// What a schedule plugin gives that nobody could run, and what is said of it.
struct Nonsense {
  const char* what;
  const char* message;
  int code = 2;
};

class NonsensePlan : public Pipeline, public ::testing::WithParamInterface<Nonsense> {};

TEST_P(NonsensePlan, IsRefusedBeforeAnythingIsMade) {
  Command command =
      train(job_, "run", 2,
            pipeline(2, "nonsense", {std::string("parallel.schedule_options.what=") + GetParam().what}));
  command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FAILING_PLUGINS;
  const Outcome outcome = run(command);
  ASSERT_TRUE(ended_with(outcome, GetParam().code));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().message));
  EXPECT_FALSE(std::filesystem::exists(file("run")));
}

const Nonsense kNonsense[] = {
    {"nothing", "schedule nonsense gave a plan for 0 ranks (the job has 2 pipeline ranks)"},
    {"rank", "schedule nonsense gave a plan for 3 ranks (the job has 2 pipeline ranks)"},
    {"stage", "stage 2147483647"},
    {"negative", "micro-batch -7"},
    {"huge", "micro-batch 2147483647"},
    {"overlap", "0F0"},
    {"throws", "a plain exception", 1},
};

INSTANTIATE_TEST_SUITE_P(Plans, NonsensePlan, ::testing::ValuesIn(kNonsense),
                         [](const auto& test) { return test.param.what; });

}  // namespace
}  // namespace caravan::test
