#include "io/metrics/step_line.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace caravan::io {
namespace {

StepRecord full_record() {
  StepRecord record;
  record.step = 12;
  record.set(metric::kLoss, 4.23144);
  record.set(metric::kGradNorm, 0.5121);
  record.set(metric::kLearningRate, 3e-4);
  record.set(metric::kTokensPerSecond, 12345.4);
  record.set(metric::kTflopPerSecond, 0.04213);
  record.set(metric::kMfuPercent, 41.23);
  record.set(metric::kPeakMemoryBytes, std::int64_t{3} << 29);
  return record;
}

std::string contents(std::FILE* file) {
  std::rewind(file);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

TEST(StepLine, ATextStaysOnALine) {
  std::FILE* file = std::tmpfile();
  {
    StepLine line(file, 4, StepLine::Output::plain);
    line.write_text(
        {.step = 2, .name = "samples/1", .prompt = "a\n", .text = "\x1b[2J", .tokens = 3, .reason = "eos"});
  }
  EXPECT_EQ(contents(file), "step 2  samples/1  \"a\\u000a\" -> \"\\u001b[2J\" (eos)\n");
}

/// What a sink writes into a file.
std::string written(StepLine::Output kind, std::int64_t steps, double step_s) {
  std::FILE* file = std::tmpfile();
  {
    StepLine line(file, 4, kind);
    for (std::int64_t step = 1; step <= steps; ++step) {
      StepRecord record;
      record.step = step;
      record.set(metric::kLoss, 1.0);
      record.set(metric::kStepSeconds, step_s);
      line.write(record);
    }
  }
  return contents(file);
}

TEST(StepLine, SaysEverythingThatIsKnown) {
  EXPECT_EQ(
      format_step(full_record(), 1000),
      "step 12/1000  loss 4.2314  grad norm 0.512  lr 3.00e-04  12345 tokens/s  0.0421 TFLOP/s  MFU 41.2 %  "
      "memory 1.50 GiB");
}

TEST(StepLine, LeavesOutWhatIsNot) {
  StepRecord record;
  record.step = 3;
  record.set(metric::kValidationLoss, 2.5);
  record.set("router/imbalance", 1.0);
  EXPECT_EQ(format_step(record, 10), "step 3/10  validation loss 2.5000");
}

TEST(StepLine, TimeLeftIsTheStepsLeftTimesTheirMeanDuration) {
  EXPECT_EQ(written(StepLine::Output::plain, 2, 30.0),
            "step 1/4  loss 1.0000  left 1 min 30 s\nstep 2/4  loss 1.0000  left 1 min 00 s\n");
}

TEST(StepLine, TheLastStepHasNoTimeLeft) {
  const std::string text = written(StepLine::Output::plain, 4, 1.0);
  EXPECT_EQ(text.substr(text.rfind("step")), "step 4/4  loss 1.0000\n");
}

TEST(StepLine, ATerminalGetsABarThatIsRemoved) {
  EXPECT_EQ(written(StepLine::Output::terminal, 1, 1.0),
            "step 1/4  loss 1.0000  left 3 s\n[##########..............................]  25 %\r\x1b[K");
}

/// Four steps, of which the first has a line; a quarter of a second lies between them.
std::string passed(StepLine::Output kind) {
  std::FILE* file = std::tmpfile();
  {
    StepLine line(file, 4, kind);
    StepRecord record;
    record.set(metric::kLoss, 2.0);
    record.set(metric::kStepSeconds, 10.0);
    record.step = 1;
    line.write(record);
    for (record.step = 2; record.step < 4; ++record.step) {
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
      line.pass(record);
      line.pass(record);
    }
  }
  return contents(file);
}

TEST(StepLine, StepsWithoutALineMoveTheBarOfATerminal) {
  EXPECT_EQ(passed(StepLine::Output::plain), "step 1/4  loss 2.0000  left 30 s\n");
  EXPECT_EQ(passed(StepLine::Output::terminal),
            "step 1/4  loss 2.0000  left 30 s\n[##########..............................]  25 %"
            "\r\x1b[K[####################....................]  50 %  loss 2.0000  left 20 s"
            "\r\x1b[K[##############################..........]  75 %  loss 2.0000  left 10 s\r\x1b[K")
      << "not more often than an eye follows";
}

TEST(StepLine, AFileIsNoTerminal) {
  std::FILE* file = std::tmpfile();
  EXPECT_EQ(StepLine::detect(file), StepLine::Output::plain);
  std::fclose(file);
}

TEST(FormatDuration, UsesTwoUnits) {
  EXPECT_EQ(format_duration(0.2), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(7500), "2 h 05 min");
  EXPECT_EQ(format_duration(270000), "3 d 03 h");
}

TEST(FormatBar, IsFullAtTheEndAndNeverOverfull) {
  EXPECT_EQ(format_bar(0, 10, 4), "[....]   0 %");
  EXPECT_EQ(format_bar(10, 10, 4), "[####] 100 %");
  EXPECT_EQ(format_bar(11, 10, 4), "[####] 100 %");
}

}  // namespace
}  // namespace caravan::io
