#include "jobs/plot/run_records.hpp"

#include <gmock/gmock.h>

#include <vector>

#include "caravan/error.hpp"
#include "tests/plot/recorded_run.hpp"

namespace caravan::test {
namespace {

using jobs::Curve;
using jobs::RunRecords;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Records : public ::testing::Test {
 protected:
  RunRecords read(const std::string& lines) const {
    return {recorded_run(folder_.file("run"), lines), RunRecords::Wait::no};
  }
  static std::vector<double> losses(const RunRecords& run) {
    std::vector<double> losses;
    for (const auto& values : run.steps()) losses.push_back(values.at(Curve::loss));
    return losses;
  }
  TemporaryFolder folder_;
};

TEST_F(Records, OfATornLastLineAreThoseBeforeIt) {
  RunRecords run = read(step_line(1, "5") + step_line(2, "4") + "{\"step\": 3, \"lo");
  EXPECT_THAT(losses(run), ElementsAre(5, 4));
  EXPECT_EQ(run.damaged_lines(), 0u);
  EXPECT_FALSE(run.read_new());
  spill(folder_.file("run/metrics.jsonl"), step_line(1, "5") + step_line(2, "4") + step_line(3, "3"));
  EXPECT_TRUE(run.read_new());
  EXPECT_THAT(losses(run), ElementsAre(5, 4, 3)) << "once its end has come";
}

TEST_F(Records, OfDamagedLinesAreCounted) {
  const RunRecords run = read(step_line(1, "5") + "garbage\n" + "{\"step\": 2, \"lo\n" + step_line(3, "4"));
  EXPECT_THAT(losses(run), ElementsAre(5, 4));
  EXPECT_EQ(run.damaged_lines(), 2u);
}

TEST_F(Records, OfAStepThatIsRepeatedTheLaterOneCounts) {
  const RunRecords run =
      read(step_line(1, "5") + step_line(2, "4") + step_line(3, "9") + step_line(2, "6") + step_line(3, "3"));
  EXPECT_THAT(losses(run), ElementsAre(5, 6, 3));
}

TEST_F(Records, AreReadAnewWhenAResumedRunHasCutThem) {
  RunRecords run = read(step_line(1, "5") + step_line(2, "4") + step_line(3, "9"));
  // As long as before, and longer: what was read is not there any more.
  spill(folder_.file("run/metrics.jsonl"), step_line(1, "5") + step_line(2, "6") + step_line(3, "7"));
  EXPECT_TRUE(run.read_new());
  EXPECT_THAT(losses(run), ElementsAre(5, 6, 7));
  spill(folder_.file("run/metrics.jsonl"), step_line(1, "5"));
  EXPECT_TRUE(run.read_new());
  EXPECT_THAT(losses(run), ElementsAre(5));
}

TEST_F(Records, GoOnOverManyPieces) {
  std::string lines;
  for (int step = 1; step <= 20000; ++step) lines += step_line(step, "4");
  EXPECT_EQ(read(lines).steps().size(), 20000u);
}

TEST_F(Records, OfWhatIsNoRunAreRefused) {
  EXPECT_THAT(message_of<IoError>([&] { RunRecords(folder_.file("none"), RunRecords::Wait::yes); }),
              HasSubstr("there is no "));
  EXPECT_THAT(message_of<IoError>([&] { RunRecords(folder_.path(), RunRecords::Wait::no); }),
              HasSubstr("is no run that records its steps"));
  RunRecords run(folder_.path(), RunRecords::Wait::yes);
  EXPECT_FALSE(run.read_new());
  recorded_run(folder_.path(), step_line(1, "5"));
  EXPECT_TRUE(run.read_new()) << "it has begun";
}

}  // namespace
}  // namespace caravan::test
