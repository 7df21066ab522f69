#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/jobs/run_program.hpp"

namespace caravan::test {

/// Runs `caravan inspect` on what a test wrote into its folder.
class InspectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::getenv("CARAVAN_BINARY")) GTEST_SKIP() << "CARAVAN_BINARY is not set";
  }

  Outcome inspect(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "inspect");
    return run_program({.arguments = std::move(arguments), .environment = {}}, folder_.path());
  }
  /// With --json, which must succeed with `code`.
  nlohmann::json inspect_json(std::vector<std::string> arguments, int code = 0) const {
    arguments.emplace_back("--json");
    const Outcome outcome = inspect(std::move(arguments));
    EXPECT_EQ(outcome.code, code) << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

  TemporaryFolder folder_;
};

/// Tensors with values that a test chooses, written as a checkpoint.
class SmallCheckpoint {
 public:
  SmallCheckpoint(const std::string& run, std::int64_t step, const std::string& job = "seed: 7\n")
      : writer_(run + "/checkpoints",
                {.step = step,
                 .tokens_seen = 4096,
                 .job_yaml = job,
                 .layout = "one rank",
                 .creator = "caravan test",
                 .values = {}},
                0) {}

  SmallCheckpoint& add(const std::string& name, std::vector<float> values, const Shape& shape) {
    writer_.tensor(name, TensorView(values.data(), DType::f32, shape));
    return *this;
  }
  SmallCheckpoint& add(const std::string& name, const io::CheckpointValue& value) {
    writer_.attribute(name, value);
    return *this;
  }
  /// The checkpoint's folder.
  std::string commit() { return writer_.commit(); }

 private:
  io::CheckpointWriter writer_;
};

}  // namespace caravan::test
