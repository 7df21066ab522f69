#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "io/checkpoint/layout.hpp"
#include "io/safetensors/reader.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/close_logits.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"
#include "tests/jobs/run_results.hpp"
#include "tests/text/reference.hpp"

// Everything that trains, saves, validates, reports, answers and decodes, on a device whose memory the host
// cannot touch and whose copies arrive late (tests/support/apart_device.hpp). It computes as the reference
// does, so results are equal to the bit.
namespace caravan::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using Overrides = std::vector<std::string>;

class SeparateMemory : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  Outcome start(Command command) const {
    command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_APART_PLUGINS;
    return run(command);
  }
  void run_job(const std::string& name, int ranks, Overrides overrides) const {
    overrides.insert(overrides.end(), {"train.steps=6"});
    ASSERT_TRUE(ended_with(start(train(job_, name, ranks, overrides)), 0)) << name;
  }
  void expect_same_run(const std::string& one, const std::string& other) const {
    EXPECT_EQ(results_of(file(one)), results_of(file(other)));
    EXPECT_EQ(digests_of(file(one), 6), digests_of(file(other), 6));
    EXPECT_EQ(results_of(file(one)).size(), 6u);
  }
  std::string job_;
};

struct Layout {
  std::string name;
  int ranks;
  Overrides overrides;
};

class OnEveryLayout : public SeparateMemory, public ::testing::WithParamInterface<Layout> {};

TEST_P(OnEveryLayout, TrainingValidationReportsAndCheckpointsAreTheReferences) {
  for (const char* precision : {"train.precision=fp32", "train.precision=bf16"}) {
    SCOPED_TRACE(precision);
    const std::string run_name = std::string("apart-") + precision,
                      expected_name = std::string("reference-") + precision;
    Overrides overrides = GetParam().overrides;
    overrides.insert(overrides.end(), {"device=reference", precision});
    run_job(expected_name, GetParam().ranks, overrides);
    overrides.back() = precision;
    overrides.insert(overrides.end(), {"device=apart"});
    run_job(run_name, GetParam().ranks, overrides);

    expect_same_run(run_name, expected_name);
  }
}

INSTANTIATE_TEST_SUITE_P(All, OnEveryLayout,
                         ::testing::Values(Layout{"alone", 1, {}}, Layout{"data", 2, {}},
                                           Layout{"pipeline", 2, {"parallel.pipeline=2", "model.layers=4"}},
                                           Layout{"tied_zero_bubble",
                                                  2,
                                                  {"parallel.pipeline=2", "parallel.schedule=zb_h1",
                                                   "model.layers=4", "model.tied_head=true",
                                                   "metrics.timeline_step=2"}},
                                           Layout{"shards", 2, {"parallel.data_shard=2", "model.layers=4"}},
                                           Layout{"tied_stages_of_shards",
                                                  4,
                                                  {"parallel.pipeline=2", "parallel.data_shard=2",
                                                   "model.layers=4", "model.tied_head=true"}},
                                           Layout{"recomputed", 1, {"train.recompute=full"}},
                                           Layout{"budget", 1, {"train.recompute={budget: 0.85}"}}),
                         [](const auto& test) { return test.param.name; });

TEST_F(SeparateMemory, AutoMeansWhatTheDevicePrefers) {
  run_job("auto", 1, {"device=apart"});
  run_job("bf16", 1, {"device=apart", "train.precision=bf16"});
  expect_same_run("auto", "bf16");
  run_job("fp32", 1, {"device=apart", "train.precision=fp32"});
  EXPECT_NE(results_of(file("auto")), results_of(file("fp32")));
}

TEST_F(SeparateMemory, ABf16RunResumesToTheBitAndLoadsOnAnotherDevice) {
  for (const auto& [ranks, shards] : {std::pair(1, "1"), std::pair(2, "2")}) {
    const Overrides often{"device=apart", "validation.every=3", std::string("parallel.data_shard=") + shards};
    const std::string undisturbed = std::string("undisturbed-") + shards,
                      resumed = std::string("resumed-") + shards;
    run_job(undisturbed, ranks, often);
    Overrides first = often;
    first.emplace_back("train.steps=3");
    ASSERT_TRUE(ended_with(start(train(job_, resumed, ranks, first)), 0));
    run_job(resumed, ranks, often);
    expect_same_run(resumed, undisturbed);

    ASSERT_TRUE(ended_with(start(train(job_, resumed, 1, {"device=reference", "train.steps=7"})), 0));
    EXPECT_EQ(results_of(file(resumed)).size(), 7u);
  }
}

TEST_F(SeparateMemory, WithoutPinnedMemoryTheRunIsTheSameAndSaysWhy) {
  run_job("pinned", 1, {"device=apart"});
  const Outcome outcome =
      start(train(job_, "pageable", 1, {"device=apart", "device_options.pins=false", "train.steps=6"}));
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr(" bytes for copies of the state cannot be pinned (not on this device)"));
  expect_same_run("pageable", "pinned");
}

TEST_F(SeparateMemory, WhatTheDeviceCannotComputeInIsRefused) {
  const Outcome outcome = start(train(job_, "refused", 1, {"device=host", "train.precision=bf16"}));
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err,
              HasSubstr("precision bf16 on device host (it computes in fp32 only). Take fp32 or auto?"));
  const Outcome unknown = start(train(job_, "refused", 1, {"train.precision=fp16"}));
  EXPECT_TRUE(ended_with(unknown, 2));
}

TEST_F(SeparateMemory, TheDryRunCountsTheDevicesMemoryApartFromTheHosts) {
  Command command = train(job_, "planned", 1, {"device=apart"});
  command.arguments.push_back("--dry-run");
  const Outcome outcome = start(command);
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("apart: the reference on memory of its own; computes in bf16"));
  for (const char* what : {"  master weights ", "  peak a rank ", "  of the host, a rank "})
    EXPECT_THAT(outcome.out, HasSubstr(what));
  EXPECT_LT(outcome.out.find("peak a rank"), outcome.out.find("process and libraries"));
}

/// "train.local_batch_size=2 train.recompute=full" of "…; train.local_batch_size=2 train.recompute=full takes
/// 3 MiB a rank; …"
std::vector<Overrides> advised(const std::string& text) {
  std::vector<Overrides> ways;
  const std::regex way("((?:[a-z]+\\.[a-z_]+=[a-z0-9]+ )+)(?:on [0-9]+ ranks )?takes [0-9.]+ [KM]iB a rank");
  for (std::sregex_iterator found(text.begin(), text.end(), way), end; found != end; ++found) {
    std::istringstream words((*found)[1].str());
    ways.emplace_back(std::istream_iterator<std::string>(words), std::istream_iterator<std::string>());
  }
  return ways;
}

TEST_F(SeparateMemory, WhatDoesNotFitIsRefusedBeforeAnythingIsTakenAndEveryAdviceRuns) {
  const auto start_with = [&](const std::string& bytes, const Overrides& more, int ranks) {
    Overrides overrides{"device=apart",
                        "train.sequence_length=128",
                        "train.local_batch_size=5",
                        "train.global_batch_size=15",
                        "parallel.pipeline=1",
                        "model.layers=6",
                        "train.steps=1",
                        "checkpoint.enabled=false",
                        "data={source: synthetic, vocab_size: 64}",
                        "device_options={memory: " + bytes + "}"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return start(train(job_, "refused", ranks, overrides));
  };
  const Outcome outcome = start_with("7800000", {}, 1);
  ASSERT_TRUE(ended_with(outcome, 1));
  EXPECT_THAT(outcome.err,
              ContainsRegex("this rank needs [0-9.]+ MiB of device memory, and 7.44 MiB of 7.44 MiB are "
                            "free \\(activations kept [0-9.]+ MiB, "));
  EXPECT_THAT(outcome.err, Not(HasSubstr("data_shard")));
  EXPECT_THAT(outcome.err, Not(HasSubstr("local_batch_size=2"))) << "15 sequences are no multiple of two";
  EXPECT_THAT(outcome.err, HasSubstr("parallel.pipeline=2 on 2 ranks takes "));
  const std::vector<Overrides> ways = advised(outcome.err);
  EXPECT_GE(ways.size(), 2u) << outcome.err;
  for (const Overrides& way : ways) {
    const bool is_pipeline = way[0].starts_with("parallel.pipeline=");
    const int ranks = is_pipeline ? std::stoi(way[0].substr(way[0].find('=') + 1)) : 1;
    EXPECT_TRUE(ended_with(start_with("7800000", way, ranks), 0)) << way[0];
  }
  EXPECT_THAT(start_with("10000", {}, 1).err, HasSubstr("A smaller model, or devices with more memory?"));
}

TEST_F(SeparateMemory, TheStepsReportWhatIsTakenOfTheDevice) {
  run_job("measured", 1, {"device=apart", "device_options={memory: 100000000}"});
  const auto metrics = read_metrics(file("measured"));
  ASSERT_EQ(metrics.size(), 6u);
  EXPECT_GT(metrics.back().at("peak_memory_bytes").get<std::int64_t>(), 100'000);
  EXPECT_LT(metrics.back().at("peak_memory_bytes").get<std::int64_t>(), 4'000'000) << "a process is larger";
}

/// Ten steps of torchtitan in fp32, here in bf16.
TEST_F(SeparateMemory, LossesOfTitanTinyInBf16AreWithinTwoPercent) {
  const std::string expected_path = reference_file("titan_tiny/expected.json");
  if (expected_path.empty()) GTEST_SKIP() << "no titan_tiny in CARAVAN_REFERENCE_DIR";
  const std::string titan = job(R"(name: titan
device: apart
model: {vocab_size: 256, dim: 64, layers: 4, heads: 4, kv_heads: 2, width_multiple_of: 32, rope_theta: 500000,
        rope_scaling: {factor: 16, low: 1, high: 1, original: 8192}, experts: 4, moe_step: 2, load_balance_rate: 0.01}
data: {source: safetensors, path: )" +
                                    reference_file("titan_tiny/batches.safetensors") + R"(}
train: {steps: 10, sequence_length: 32, local_batch_size: 2, global_batch_size: 4, lr: 0.003, warmup_steps: 3,
        decay_ratio: 0}
optimizer: {eps: 1e-8, weight_decay: 0.1}
checkpoint: {initial_load: )" + reference_file("titan_tiny/initial_weights.safetensors") +
                                    "}\n",
                                "titan.yaml");
  ASSERT_TRUE(ended_with(start(train(titan, "titan", 2)), 0));
  const auto steps = nlohmann::json::parse(std::ifstream(expected_path))["steps"];
  const std::vector<nlohmann::json> expected(steps.begin(), steps.end());
  const double difference =
      largest_relative_difference(series(read_metrics(file("titan")), "loss"), series(expected, "loss"));

  EXPECT_LE(difference, 0.02);
  EXPECT_GT(difference, 1e-6) << "it did not compute in bf16";
}

struct Asked {
  std::string model, precision;
};

class Questions : public SeparateMemory, public ::testing::WithParamInterface<Asked> {
 protected:
  void SetUp() override {
    SeparateMemory::SetUp();
    expected_ = reference_file(GetParam().model + "/expected_outputs.safetensors");
    if (expected_.empty()) GTEST_SKIP() << "no " << GetParam().model << " in CARAVAN_REFERENCE_DIR";
    model_ = reference_file(GetParam().model);
  }
  io::SafetensorsFile forward(const std::string& device, const std::string& precision, int ranks) const {
    const std::string out = file(device + precision + ".safetensors");
    EXPECT_TRUE(ended_with(
        start({{"forward", "--model", model_, "--inputs", expected_, "--outputs", out, "--gradients",
                file(device + ".gradients"), "--device", device, "--precision", precision},
               ranks,
               {},
               60}),
        0));
    return io::SafetensorsFile(out);
  }
  std::string model_, expected_;
};

TEST_P(Questions, LogitsAndGradientsAreTheReferences) {
  const auto ours = forward("apart", GetParam().precision, 2);
  const auto theirs = forward("reference", GetParam().precision, 2);
  for (const std::string& name : theirs.names())
    EXPECT_EQ(ours.read_as_f32(name), theirs.read_as_f32(name)) << name;
  const io::SafetensorsFile our_gradients(file("apart.gradients")),
      their_gradients(file("reference.gradients"));
  for (const std::string& name : their_gradients.names())
    EXPECT_EQ(our_gradients.read_as_f32(name), their_gradients.read_as_f32(name)) << name;

  expect_close_logits(ours, io::SafetensorsFile(expected_));
}

TEST_P(Questions, TheCachedPathDecodesWhatTheReferenceDoes) {
  std::vector<nlohmann::json> answers;
  for (const char* device : {"apart", "reference"}) {
    const Outcome outcome = start(
        {{"generate", "--model", model_, "--prompt-ids", "3 1 4 1 5 9 2 6 5 3 5", "--greedy", "--ignore-eos",
          "--max-new-tokens", "24", "--device", device, "--precision", GetParam().precision, "--json"},
         0,
         {},
         60});
    ASSERT_TRUE(ended_with(outcome, 0));
    answers.push_back(nlohmann::json::parse(outcome.out)["ids"]);
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0].size(), 24u);
}

INSTANTIATE_TEST_SUITE_P(All, Questions,
                         ::testing::Values(Asked{"tiny_scout", "fp32"}, Asked{"tiny_scout", "bf16"},
                                           Asked{"tiny_maverick", "bf16"}),
                         [](const auto& test) { return test.param.model + "_" + test.param.precision; });

}  // namespace
}  // namespace caravan::test
