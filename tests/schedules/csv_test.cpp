#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/schedules/schedules.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A file of this test alone, removed at its end.
class CsvSchedule : public ::testing::Test {
 protected:
  CsvSchedule()
      : path_(fs::path(::testing::TempDir()) /
              ("caravan-schedule-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".csv")) {}
  ~CsvSchedule() override { fs::remove(path_); }

  Made<Schedule> read(const std::string& text) {
    std::ofstream(path_) << text;
    return schedule("csv", path_);
  }
  std::string refusal(const std::string& text, const PlanRequest& request) {
    return message_of<ConfigError>([&] { read(text)->build(request); });
  }

  std::string path_;
};

constexpr const char* kTwoRanks = "0F0,0F1,,,0B0,0B1\n,1F0,1F1,1B0,1B1,\n";

TEST_F(CsvSchedule, GivesTheFilesRowsWithoutIdleCells) {
  const Plan plan = read(kTwoRanks)->build({.ranks = 2, .microbatches = 2});

  EXPECT_EQ(text_of(plan.steps.at(0)), "0F0,0F1,0B0,0B1");
  EXPECT_EQ(text_of(plan.steps.at(1)), "1F0,1F1,1B0,1B1");
}

TEST_F(CsvSchedule, EverySchedulesOwnCsvComesBack) {
  for (const std::string& name : schedule_names()) {
    const PlanRequest request{
        .ranks = 2, .microbatches = 4, .stages_per_rank = schedule(name)->stages_per_rank().usual};
    const Plan plan = plan_of(name, request);

    EXPECT_EQ(read(to_csv(plan))->build(request), plan) << name;
  }
}

TEST_F(CsvSchedule, DropsWhatThePassesPlace) {
  const auto csv =
      read("0UNSHARD,0F0,0SEND_F0,0RECV_B0,0R0,0B0,0REDUCE_GRAD,0RESHARD\n1RECV_F0,1F0,1B0,1SEND_B0\n");

  const Plan plan = csv->build({.ranks = 2, .microbatches = 1});

  EXPECT_EQ(text_of(plan.steps.at(0)), "0F0,0B0,0REDUCE_GRAD");
  EXPECT_EQ(text_of(plan.steps.at(1)), "1F0,1B0");
}

TEST_F(CsvSchedule, StatesTheStagesOfTheFile) {
  const StagesPerRank stages = read("0F0,2F0,2B0,0B0\n1F0,3F0,3B0,1B0\n")->stages_per_rank();

  EXPECT_EQ(stages.least, 2);
  EXPECT_EQ(stages.most, 2);
  EXPECT_EQ(stages.usual, 2);
}

TEST_F(CsvSchedule, ARequestThatTheFileDoesNotFitIsRefusedByTheNumberThatDiffers) {
  EXPECT_EQ(refusal(kTwoRanks, {.ranks = 4, .microbatches = 2}),
            "ranks=4 (" + path_ + " has 2 rows). Use 2?");
  EXPECT_EQ(refusal(kTwoRanks, {.ranks = 2, .microbatches = 2, .stages_per_rank = 2}),
            "stages_per_rank=2 (" + path_ + " has 2 stages on 2 ranks). Use 1?");
  EXPECT_EQ(refusal(kTwoRanks, {.ranks = 2, .microbatches = 8}),
            "microbatches=8 (" + path_ + " has 2 micro-batches). Use 2?");
  EXPECT_EQ(
      refusal("0F0,0B0,2F0,2B0\n1F0,1B0\n", {.ranks = 2, .microbatches = 1, .stages_per_rank = 2}),
      "stages_per_rank=2 (" + path_ + " has 3 stages on 2 ranks). A file with as many stages on every rank?");
}

TEST_F(CsvSchedule, ABadCellAndAnEmptyFileAreRefused) {
  EXPECT_THAT(message_of<Error>([&] { read("0F0,0X0\n"); }), HasSubstr("0X0"));
  EXPECT_NE(message_of<Error>([&] { read(""); }), "");
  EXPECT_THAT(message_of<Error>([&] { read("0UNSHARD,0RESHARD\n"); }),
              HasSubstr("has no action on a micro-batch"));
}

TEST_F(CsvSchedule, AFileThatCannotBeReadIsNamed) {
  EXPECT_THAT(message_of<Error>([&] { schedule("csv", "/no/such/plan.csv"); }),
              HasSubstr("cannot open /no/such/plan.csv (No such file or directory)"));
  EXPECT_THAT(message_of<Error>([&] { schedule("csv", "/"); }),
              HasSubstr("/ is not a regular file (it is a folder)"));
}

TEST_F(CsvSchedule, AFileAbove64MiBIsRefused) {
  read("0F0,0B0\n");
  fs::resize_file(path_, (std::uintmax_t{64} << 20) + 1);

  EXPECT_THAT(message_of<Error>([&] { schedule("csv", path_); }),
              HasSubstr("has 67108865 bytes (at most 67108864 are read)"));
}

}  // namespace
}  // namespace caravan::testing
