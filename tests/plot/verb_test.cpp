#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/screen.hpp"
#include "tests/plot/recorded_run.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Arguments = std::vector<std::string>;

class Plot : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    first_ = recorded_run(file("lr-1/run"), falling_losses(40));
    second_ = recorded_run(file("lr-2/run"), falling_losses(20) + "{\"step\": 21, \"lo");
  }
  Outcome plot(Arguments arguments, const std::string& locale = "C.UTF-8") const {
    arguments.insert(arguments.begin(), "plot");
    return run({arguments, 0, {{"LC_ALL", locale}}, 20});
  }
  void expect_refused(const Arguments& arguments, int code, const std::string& message) const {
    const Outcome outcome = plot(arguments);
    EXPECT_TRUE(ended_with(outcome, code)) << ::testing::PrintToString(arguments);
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
  /// Waits until one of the files that hold a program's streams has it.
  bool is_shown(const std::string& text) const {
    for (int i = 0; i < 150; ++i) {
      for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
        if (entry.is_regular_file() && slurp(entry.path()).find(text) != std::string::npos) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }
  std::string first_, second_;
};

TEST_F(Plot, DrawsARunInEightyColumns) {
  const Outcome outcome = plot({first_});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out,
              HasSubstr("loss and validation loss (capitals), nats a token, by step\n8 ┤  ⠤⢄⡀\n"));
  EXPECT_THAT(outcome.out, HasSubstr("a run: loss 4, validation loss 4.1 at step 40\n"));
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 20);
  EXPECT_THAT(outcome.err, IsEmpty());
  EXPECT_THAT(plot({first_}, "C").out, HasSubstr("8 +  ***\n"));
}

TEST_F(Plot, DrawsRunsTogetherAndPassesOverATornLine) {
  const Outcome outcome = plot({first_, second_, "--what", "loss,lr", "--smooth", "3"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("a lr-1/run: loss"));
  EXPECT_THAT(outcome.out, HasSubstr("b lr-2/run: loss"));
  EXPECT_THAT(outcome.out, HasSubstr("learning rate, by step\n"));
  EXPECT_THAT(outcome.out, HasSubstr("at step 20"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("damaged")));
}

TEST_F(Plot, WritesPictureAndTable) {
  const std::string svg = file("p.svg"), csv = file("t.csv");
  spill(svg, "what stood there");
  const Outcome outcome = plot({first_, second_, "--svg", svg, "--csv", csv, "--from", "10", "--to", "20"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_TRUE(slurp(svg).starts_with("<svg "));
  EXPECT_THAT(slurp(csv), HasSubstr("run,step,loss,validation_loss\nlr-1/run,10,7,7.1\n"));
  EXPECT_EQ(plot({first_, second_, "--csv", "-", "--from", "10", "--to", "20"}).out, slurp(csv));
}

TEST_F(Plot, RefusesInWords) {
  expect_refused({}, 2, "run is required");
  expect_refused({file("none")}, 3, "there is no ");
  expect_refused({file("lr-1")}, 3, "is no run that records its steps");
  expect_refused({recorded_run(file("new"), "")}, 3, "no loss in new (nothing recorded it");
  spill(file("metrics.csv"), "step,wall_time_s,loss\n1,1796095819.011,3.5\n");
  expect_refused(
      {file("metrics.csv")}, 3,
      "metrics.csv holds no record of a step (what is read are lines of JSON, as metrics.jsonl has them; "
      "a table is for other programs)");
  expect_refused({first_, first_ + "/"}, 2, "given twice");
  expect_refused({first_, "--what", "los"}, 2, "Did you mean loss?");
  expect_refused({first_, "--what", "norm"}, 3, "no gradient norm in run");
  expect_refused({first_, "--from", "100"}, 2, "no step from 100 on (the runs have 1 to 40)");
  expect_refused({first_, "--from", "9", "--to", "8"}, 2, "no step is between");
  expect_refused({first_, "--width", "5"}, 2, "--width");
  expect_refused({first_, "--follow", "--svg", file("x.svg")}, 2, "--follow beside --svg");
  expect_refused({first_, "--csv", first_ + "/metrics.jsonl"}, 2, "are one file");
  expect_refused(Arguments(27, first_), 2, "27 runs");
}

TEST_F(Plot, OnATerminalIsAsWideAsItAndColouredUnlessToldOtherwise) {
  const Screen screen = on_terminal({"plot", first_}, 30, {{"LC_ALL", "C.UTF-8"}});
  EXPECT_EQ(screen.code, 0);
  EXPECT_EQ(std::count(screen.text.begin(), screen.text.end(), '\n'), 29);
  EXPECT_THAT(screen.text, HasSubstr("\033[38;5;68ma\033[0m run"));
  const Screen plain = on_terminal({"plot", first_}, 30, {{"LC_ALL", "C"}, {"NO_COLOR", "1"}});
  EXPECT_THAT(plain.text, Not(HasSubstr("\033")));
}

TEST_F(Plot, FollowsARunUntilItIsAskedToLeave) {
  const std::string fresh = file("fresh");
  std::filesystem::create_directories(fresh);
  Program program({{"plot", fresh, "--follow"}, 0, {{"LC_ALL", "C.UTF-8"}}, 60}, folder_.path());
  EXPECT_TRUE(is_shown("no step was recorded yet"));
  recorded_run(fresh, falling_losses(10));
  EXPECT_TRUE(is_shown("loss 4, validation loss 4.1 at step 10"));
  recorded_run(fresh, falling_losses(10) + step_line(11, "3.5"));
  EXPECT_TRUE(is_shown("loss 3.5 at step 11"));
  ASSERT_EQ(::kill(program.launcher(), SIGINT), 0);
  const Outcome outcome = program.wait();
  EXPECT_TRUE(ended_with(outcome, 75));
  EXPECT_THAT(outcome.last_line(), HasSubstr("asked to leave"));
}

}  // namespace
}  // namespace caravan::test
