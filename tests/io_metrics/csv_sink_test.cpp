#include "io/metrics/csv_sink.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <limits>
#include <regex>
#include <sstream>
#include <vector>

#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::io {
namespace {

using test::slurp;
using test::spill;
using ::testing::ElementsAre;

class Csv : public ::testing::Test {
 protected:
  static StepRecord record(std::int64_t step) {
    StepRecord made;
    made.step = step;
    made.set(metric::kLoss, 0.5);
    made.set(metric::kTokensSeen, step * 100);
    return made;
  }
  void write_steps(std::int64_t first, std::int64_t last) {
    CsvSink sink(path, first);
    for (std::int64_t step = first; step <= last; ++step) sink.write(record(step));
  }
  /// The lines, times as T.
  static std::vector<std::string> lines_in(const std::string& file) {
    static const std::regex kTime("^([0-9]+),[0-9]+\\.[0-9]{3}");
    std::vector<std::string> lines;
    std::istringstream text(slurp(file));
    for (std::string line; std::getline(text, line);)
      lines.push_back(std::regex_replace(line, kTime, "$1,T"));
    return lines;
  }
  test::TemporaryFolder folder;
  const std::string path = folder.file("metrics.csv");
};

TEST_F(Csv, AStepIsARowUnderNames) {
  write_steps(1, 2);
  EXPECT_THAT(lines_in(path), ElementsAre("step,wall_time_s,loss,tokens_seen", "1,T,0.5,100", "2,T,0.5,200"));
}

TEST_F(Csv, AKeyThatComesLaterAddsAColumnAndOneThatIsMissingStaysEmpty) {
  CsvSink sink(path, 1);
  sink.write(record(1));
  StepRecord more = record(2);
  more.set("data_passes/0", 0.25);
  more.set(metric::kValidationLoss, std::numeric_limits<double>::quiet_NaN());
  sink.write(more);
  sink.write(record(3));
  EXPECT_THAT(lines_in(path), ElementsAre("step,wall_time_s,loss,tokens_seen,data_passes/0,validation_loss",
                                          "1,T,0.5,100,,", "2,T,0.5,200,0.25,nan", "3,T,0.5,300,,"));
}

TEST_F(Csv, AResumedRunKeepsColumnsAndHasEveryStepOnce) {
  {
    CsvSink sink(path, 1);
    StepRecord more = record(1);
    more.set(metric::kValidationLoss, 1.5);
    sink.write(more);
  }
  write_steps(2, 4);
  write_steps(3, 5);
  EXPECT_THAT(lines_in(path),
              ElementsAre("step,wall_time_s,loss,tokens_seen,validation_loss", "1,T,0.5,100,1.5",
                          "2,T,0.5,200,", "3,T,0.5,300,", "4,T,0.5,400,", "5,T,0.5,500,"));
  EXPECT_THAT(
      lines_in(folder.file("metrics.former.csv")),
      ElementsAre("step,wall_time_s,loss,tokens_seen,validation_loss", "3,T,0.5,300,", "4,T,0.5,400,"));
}

TEST_F(Csv, AColumnThatComesWithTheFirstRepeatedStepIsOfTheKeptStepsToo) {
  write_steps(1, 3);
  CsvSink sink(path, 2);
  StepRecord more = record(2);
  more.set(metric::kGradNorm, 2.0);
  sink.write(more);
  EXPECT_THAT(lines_in(path),
              ElementsAre("step,wall_time_s,loss,tokens_seen,grad_norm", "1,T,0.5,100,", "2,T,0.5,200,2"));
  EXPECT_THAT(lines_in(folder.file("metrics.former.csv")),
              ElementsAre("step,wall_time_s,loss,tokens_seen", "2,T,0.5,200", "3,T,0.5,300"));
}

TEST_F(Csv, AStartThatComesToNoStepChangesNothing) {
  write_steps(1, 3);
  const std::string before = slurp(path);
  { const CsvSink sink(path, 1); }
  EXPECT_EQ(slurp(path), before);
}

TEST_F(Csv, ATornLastLineIsCutAndATornHeadToo) {
  write_steps(1, 2);
  spill(path, slurp(path) + "3,17");
  write_steps(3, 3);
  EXPECT_THAT(lines_in(path),
              ElementsAre("step,wall_time_s,loss,tokens_seen", "1,T,0.5,100", "2,T,0.5,200", "3,T,0.5,300"));
  spill(path, "step,wall_ti");
  write_steps(1, 1);
  EXPECT_THAT(lines_in(path), ElementsAre("step,wall_time_s,loss,tokens_seen", "1,T,0.5,100"));
}

TEST_F(Csv, AnotherFileOfThatNameIsRefusedAndLeftAlone) {
  for (const char* text : {"name,size\nx,1\n", "step,wall_time_s,loss\nx,1,2\n"}) {
    spill(path, text);
    EXPECT_THAT(test::message_of<IoError>([&] { CsvSink(path, 1); }), ::testing::HasSubstr("Move it away?"));
    EXPECT_EQ(slurp(path), text);
  }
}

TEST_F(Csv, AFullDiskCostsRowsAndOneWarning) {
  CsvSink sink(path, 1);
  for (std::int64_t step = 1; step <= 60; ++step) sink.write(record(step));
  const auto before = lines_in(path);
  StepRecord wide = record(61);
  wide.set(metric::kValidationLoss, 1.0);
  rlimit usual{};
  ::getrlimit(RLIMIT_FSIZE, &usual);
  ::signal(SIGXFSZ, SIG_IGN);
  ::testing::internal::CaptureStderr();
  const rlimit full{slurp(path).size() + 10, usual.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &full);
  sink.write(wide);
  sink.write(record(62));
  sink.write(record(63));
  ::setrlimit(RLIMIT_FSIZE, &usual);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(lines_in(path), before) << "neither half a file nor half a row";
  sink.write(wide);
  EXPECT_EQ(lines_in(path).size(), before.size() + 1);
  EXPECT_EQ(lines_in(path).front(), "step,wall_time_s,loss,tokens_seen,validation_loss");
  EXPECT_THAT(log, ::testing::HasSubstr("records are lost until it can be written"));
}

}  // namespace
}  // namespace caravan::io
