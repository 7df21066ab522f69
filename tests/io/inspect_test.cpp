#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string text;  ///< stdout and stderr
};

Outcome inspect(const std::string& arguments) {
  Outcome outcome;
  const std::string command = std::string(std::getenv("CARAVAN_BINARY")) + " inspect " + arguments + " 2>&1";
  FILE* output = ::popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), output))
    outcome.text.append(buffer.data(), got);
  const int status = ::pclose(output);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

class Inspect : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::getenv("CARAVAN_BINARY")) GTEST_SKIP() << "CARAVAN_BINARY is not set";
    for (std::int64_t step : {1, 2}) {
      std::vector<float> values(48);
      io::CheckpointWriter writer(run_.file("checkpoints"), step,
                                  {.tokens_seen = 4096,
                                   .job_yaml = "seed: 7\n",
                                   .layout = "one rank",
                                   .creator = "caravan test",
                                   .expected_bytes = 0});
      writer.tensor("/model/tok_embeddings.weight", TensorView(values.data(), DType::f32, {6, 8}));
      writer.tensor("/model/layers.0.attention.wq.weight", TensorView(values.data(), DType::f32, {4, 8}));
      writer.tensor("/model/layers.0.moe.experts.w1", TensorView(values.data(), DType::f32, {2, 2, 8}));
      writer.tensor("/optimizer/exp_avg/norm.weight", TensorView(values.data(), DType::f32, {8}));
      writer.attribute("/state/next_sample", std::int64_t{12});
      step_path_ = writer.commit();
    }
  }
  void damage(const std::string& step_path) const {
    const auto offset = io::CheckpointReader::open(step_path).info("/model/layers.0.moe.experts.w1").offset;
    std::string bytes = slurp(step_path + "/checkpoint.h5");
    bytes[offset] = 1;
    spill(step_path + "/checkpoint.h5", bytes);
  }
  TemporaryFolder run_;
  std::string step_path_;
};

TEST_F(Inspect, ShowsTheNewestOfARunAsATree) {
  const Outcome outcome = inspect(run_.path());
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  for (const char* part :
       {"step 2, 4,096 tokens seen", "layout: one rank", "every byte has its digest", "/optimizer/exp_avg",
        "layers.0.moe.experts.w1", "[2, 2, 8]", "next_sample", "= 12", "parameters  112"}) {
    EXPECT_THAT(outcome.text, HasSubstr(part));
  }
}

TEST_F(Inspect, GivesJsonWithCountsByKind) {
  const Outcome outcome = inspect(step_path_ + " --json");
  ASSERT_EQ(outcome.code, 0) << outcome.text;
  const json shown = json::parse(outcome.text);
  EXPECT_EQ(shown["step"], 2);
  EXPECT_EQ(shown["tokens_seen"], 4096);
  EXPECT_EQ(shown["verified"], "structure");
  EXPECT_EQ(shown["parameters"],
            (json{{"total", 112}, {"embedding", 48}, {"attention", 32}, {"expert", 32}}));
  EXPECT_EQ(shown["values"]["/state/next_sample"], 12);
  EXPECT_EQ(shown["tensors"].size(), 4u);
  EXPECT_EQ(
      shown["tensors"][0],
      (json{{"name", "/model/tok_embeddings.weight"}, {"dtype", "f32"}, {"shape", {6, 8}}, {"bytes", 192}}));
}

TEST_F(Inspect, PrintsTheStoredJob) {
  const Outcome outcome = inspect(step_path_ + "/checkpoint.h5 --job");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.text, "seed: 7\n");
}

TEST_F(Inspect, VerifiesEveryByteOnRequest) {
  EXPECT_EQ(inspect(step_path_ + " --verify").code, 0);
  damage(step_path_);
  const Outcome outcome = inspect(step_path_ + " --verify");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.text, HasSubstr("is damaged in /model/layers.0.moe.experts.w1"));
  EXPECT_EQ(inspect(step_path_).code, 0);
}

TEST_F(Inspect, OfARunWalksBackAndSaysWhatItSkipped) {
  damage(step_path_);
  const json shown = json::parse(inspect(run_.path() + " --json").text);
  EXPECT_EQ(shown["step"], 1);
  ASSERT_EQ(shown["skipped"].size(), 1u);
  EXPECT_THAT(shown["skipped"][0]["why"].get<std::string>(), HasSubstr("is damaged"));
}

TEST_F(Inspect, ForeignFilesAreListedWithoutTrust) {
  std::filesystem::rename(step_path_ + "/checkpoint.h5", run_.file("x.h5"));
  const Outcome outcome = inspect(run_.file("x.h5"));
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("nothing is verified"));
  EXPECT_THAT(outcome.text, HasSubstr("layers.0.attention.wq.weight"));
  EXPECT_EQ(inspect(run_.file("x.h5") + " --verify").code, 2);
}

TEST_F(Inspect, RefusalsExitWithThree) {
  spill(run_.file("x.h5"), "no hdf5");
  EXPECT_EQ(inspect(run_.file("x.h5")).code, 3);
  EXPECT_EQ(inspect("/nowhere").code, 3);
  EXPECT_EQ(inspect("").code, 2);
}

}  // namespace
}  // namespace caravan::test
