#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "caravan/error.hpp"
#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"
#include "tests/plan/plans.hpp"

// The files that PyTorch wrote.
namespace caravan::test {
namespace {

constexpr const char* kCompute = ".compute.csv";
constexpr const char* kLowered = ".comms.csv";

class ReferenceSchedules : public testing::Test {
 protected:
  void SetUp() override {
    if (reference_folder().empty()) GTEST_SKIP() << "no schedules below CARAVAN_REFERENCE_DIR";
  }
};

Plan read_plan(const std::string& path) {
  return parse_schedule_csv(read_text(path), path);
}

/// PyTorch's own table of 1F1B leaves out F0 of the last rank and numbers the others one too high.
bool is_wrong_table(const std::string& path) {
  return path.find("Schedule1F1B_") != std::string::npos;
}

int microbatches_of_name(const std::string& path) {
  return std::stoi(path.substr(path.rfind("_mb") + 3));
}

TEST_F(ReferenceSchedules, PassesGiveTheMessagesOfPyTorchExactly) {
  const auto paths = reference_files(kLowered);
  EXPECT_GE(paths.size(), 12U);
  for (const std::string& path : paths) {
    const std::string compute = path.substr(0, path.size() - std::string(kLowered).size()) + kCompute;
    const Plan lowered = place_communication(place_reduction(place_unshard(read_plan(compute))));
    EXPECT_EQ(to_csv(lowered), to_csv(read_plan(path))) << path;
  }
}

TEST_F(ReferenceSchedules, AreValid) {
  int checked = 0;
  for (const std::string& path : reference_files(kCompute)) {
    if (is_wrong_table(path)) continue;
    const Placement placement = check(read_plan(path), microbatches_of_name(path));
    EXPECT_GE(placement.stages(), 2) << path;
    ++checked;
  }
  EXPECT_GE(checked, 14);
}

TEST_F(ReferenceSchedules, LoweredOnesAreValidAndGoThroughWithBlockingSends) {
  for (const std::string& path : reference_files(kLowered)) {
    const Plan plan = read_plan(path);
    EXPECT_NO_THROW(check(plan, microbatches_of_name(path))) << path;
    EXPECT_NO_THROW(check_communication(plan)) << path;
  }
}

TEST_F(ReferenceSchedules, LoweredOnesCanBeLoweredAnew) {
  for (const std::string& path : reference_files(kLowered)) {
    const Plan plan = read_plan(path);
    EXPECT_EQ(place_communication(place_reduction(place_unshard(compute_only(plan)))), plan) << path;
  }
}

TEST_F(ReferenceSchedules, TheWrongTableOf1F1BIsRefused) {
  int refused = 0;
  for (const std::string& path : reference_files(kCompute)) {
    if (!is_wrong_table(path)) continue;
    try {
      check(read_plan(path), microbatches_of_name(path));
    } catch (const ConfigError& error) {
      ++refused;
      const bool is_two_ranks = path.find("_pp2_") != std::string::npos;
      EXPECT_THAT(error.message(), testing::HasSubstr(is_two_ranks ? "rank 1, step 7 (1F4): micro-batch 4"
                                                                   : "rank 3, step 15 (3F8): micro-batch 8"));
    }
  }
  EXPECT_EQ(refused, 2);
}

}  // namespace
}  // namespace caravan::test
