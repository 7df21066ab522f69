#include "io/metrics/json_lines_sink.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <ctime>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "io/metrics/json_lines_record.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::io {
namespace {

using test::slurp;
using test::spill;

StepRecord record(std::int64_t step, double loss) {
  StepRecord made;
  made.step = step;
  made.set(metric::kLoss, loss);
  made.set(metric::kTokensSeen, step * 100);
  return made;
}

std::vector<std::int64_t> steps_in(const std::string& path) {
  std::vector<std::int64_t> steps;
  std::istringstream lines(slurp(path));
  for (std::string line; std::getline(lines, line);) steps.push_back(nlohmann::json::parse(line).at("step"));
  return steps;
}

class JsonLines : public ::testing::Test {
 protected:
  void write_steps(std::int64_t first, std::int64_t last) {
    JsonLinesSink sink(path, first);
    for (std::int64_t step = first; step <= last; ++step) sink.write(record(step, 1.5));
  }
  test::TemporaryFolder folder;
  const std::string path = folder.file("metrics.jsonl");
};

TEST_F(JsonLines, ALineIsAnObjectWithStepFirstAndTheKeysInOrder) {
  JsonLinesSink(path, 1).write(record(3, 0.1));
  EXPECT_THAT(slurp(path),
              ::testing::MatchesRegex(
                  R"re(\{"step": 3, "wall_time_s": [0-9]+\.[0-9]{3}, "loss": 0.1, "tokens_seen": 300\})re"
                  "\n"));
}

TEST_F(JsonLines, ALineSaysWhenItWasWritten) {
  const auto before = static_cast<double>(std::time(nullptr));
  JsonLinesSink(path, 1).write(record(1, 0.1));
  const double written = nlohmann::json::parse(slurp(path)).at("wall_time_s");
  EXPECT_GE(written, before);
  EXPECT_LE(written, static_cast<double>(std::time(nullptr)) + 1);
}

TEST_F(JsonLines, NumbersSurviveTheRoundTrip) {
  for (double loss : {1e-300, 1.0 / 3.0, 123456789.0, -0.0, 4.9e-324}) {
    JsonLinesSink(path, 0).write(record(0, loss));
    EXPECT_EQ(nlohmann::json::parse(slurp(path)).at("loss").get<double>(), loss);
  }
}

TEST_F(JsonLines, WhatIsNotFiniteIsNull) {
  JsonLinesSink(path, 0).write(record(0, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_TRUE(nlohmann::json::parse(slurp(path)).at("loss").is_null());
}

TEST_F(JsonLines, ALineIsOnDiskBeforeTheNextStep) {
  JsonLinesSink sink(path, 1);
  sink.write(record(1, 2.0));
  EXPECT_EQ(steps_in(path), (std::vector<std::int64_t>{1}));
}

TEST_F(JsonLines, AResumedRunLeavesEveryStepOnce) {
  write_steps(1, 8);
  write_steps(5, 10);
  EXPECT_EQ(steps_in(path), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_F(JsonLines, RecordsThatAreDoneAgainAreKeptBeside) {
  write_steps(1, 8);
  const std::string first = slurp(path);
  write_steps(5, 6);
  write_steps(1, 2);

  EXPECT_EQ(steps_in(path), (std::vector<std::int64_t>{1, 2}));
  const std::string former = slurp(folder.file("metrics.former.jsonl"));
  EXPECT_EQ(steps_in(folder.file("metrics.former.jsonl")),
            (std::vector<std::int64_t>{5, 6, 7, 8, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(former.substr(0, former.find("{\"step\": 1,")), first.substr(first.find("{\"step\": 5,")));
}

TEST_F(JsonLines, AStartThatComesToNoStepChangesNothing) {
  write_steps(1, 3);
  const std::string before = slurp(path);

  { const JsonLinesSink sink(path, 1); }

  EXPECT_EQ(slurp(path), before);
  EXPECT_FALSE(std::filesystem::exists(folder.file("metrics.former.jsonl")));
}

TEST_F(JsonLines, WithoutAPlaceForFormerRecordsTheyStay) {
  write_steps(1, 3);
  const std::string before = slurp(path);
  std::filesystem::create_directory(folder.file("metrics.former.jsonl"));
  ::testing::internal::CaptureStderr();

  write_steps(2, 3);

  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(slurp(path), before);
  EXPECT_THAT(log, ::testing::HasSubstr("metrics.former.jsonl (Is a directory); records are lost until"));
  EXPECT_EQ(log.find("records are lost"), log.rfind("records are lost")) << "one warning";
}

TEST_F(JsonLines, TextsAreObjectsOfAFileOfTheirOwn) {
  JsonLinesSink sink(path, 1);
  ASSERT_TRUE(sink.takes_texts());
  sink.write(record(4, 2.0));
  EXPECT_FALSE(std::filesystem::exists(folder.file("samples.jsonl"))) << "none was written";
  sink.write_text(
      {.step = 4, .name = "samples/0", .prompt = "a\"b\n", .text = "c\xff", .tokens = 2, .reason = "eos"});

  EXPECT_EQ(steps_in(path), (std::vector<std::int64_t>{4}));
  EXPECT_THAT(
      slurp(folder.file("samples.jsonl")),
      ::testing::MatchesRegex(
          R"re(\{"step": 4, "wall_time_s": [0-9.]+, "name": "samples/0", "prompt": "a\\"b\\n", "text": "c�", "tokens": 2, "reason": "eos"\})re"
          "\n"));
}

TEST_F(JsonLines, TextsOfStepsThatAreDoneAgainAreKeptBeside) {
  const auto write = [&](std::int64_t first, std::int64_t last) {
    JsonLinesSink sink(path, first);
    for (std::int64_t step = first; step <= last; ++step)
      sink.write_text({.step = step, .name = "samples/0", .prompt = "p", .text = "t"});
  };
  write(1, 4);
  write(3, 5);
  EXPECT_EQ(steps_in(folder.file("samples.jsonl")), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(steps_in(folder.file("samples.former.jsonl")), (std::vector<std::int64_t>{3, 4}));
}

TEST_F(JsonLines, TextsOfStepsThatAreDoneAgainWithoutTextsAreKeptBeside) {
  JsonLinesSink(path, 1).write_text({.step = 1, .name = "samples/0", .prompt = "p", .text = "t"});
  JsonLinesSink(path, 2).write_text({.step = 2, .name = "samples/0", .prompt = "p", .text = "t"});
  JsonLinesSink(path, 2).write(record(2, 1.0));
  EXPECT_EQ(steps_in(folder.file("samples.jsonl")), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(steps_in(folder.file("samples.former.jsonl")), (std::vector<std::int64_t>{2}));
}

TEST_F(JsonLines, ATornLastLineIsCut) {
  write_steps(1, 3);
  spill(path, slurp(path) + "{\"step\": 4, \"lo");
  write_steps(4, 5);
  EXPECT_EQ(steps_in(path), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
}

TEST_F(JsonLines, ARecordIsFoundAndWrittenAgainAsItWas) {
  StepRecord odd = record(2, 1.0 / 3.0);
  odd.set("balance_loss", std::numeric_limits<double>::quiet_NaN());
  JsonLinesSink(path, 2).write(odd);
  JsonLinesSink(path, 20).write(record(20, 1.5));

  const auto found = find_record(path, 2);

  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 2);
  ASSERT_EQ(found->values().size(), 3u);
  EXPECT_EQ(*found->find(metric::kLoss), MetricValue(1.0 / 3.0));
  EXPECT_EQ(*found->find(metric::kTokensSeen), MetricValue(std::int64_t{200}));
  EXPECT_TRUE(std::isnan(std::get<double>(*found->find("balance_loss"))));
  EXPECT_FALSE(find_record(path, 3));
  EXPECT_FALSE(find_record(folder.file("nowhere"), 2));
}

TEST_F(JsonLines, ALineThatIsNoRecordIsNamed) {
  for (const char* line : {"{\"step\": 2, \"loss\": }", "{\"step\": 2, \"loss\": \"high\"}"}) {
    spill(path, std::string(line) + "\n");
    EXPECT_THAT(testing::message_of([&] { find_record(path, 2); }),
                ::testing::HasSubstr("the line of step 2 in " + path + " is no step record"));
  }
}

TEST_F(JsonLines, ALongFileIsReadInPiecesAndKeepsWhatIsBefore) {
  constexpr std::int64_t kSteps = 20'000;  // about half a MiB, more than is read at once
  std::string lines;
  for (std::int64_t step = 1; step <= kSteps; ++step)
    lines += "{\"step\": " + std::to_string(step) + ", \"x\": 1}\n";
  spill(path, lines);
  write_steps(kSteps - 1, kSteps + 1);
  const std::vector<std::int64_t> steps = steps_in(path);
  ASSERT_EQ(steps.size(), static_cast<std::size_t>(kSteps + 1));
  EXPECT_EQ(steps[kSteps - 3], kSteps - 2);
  EXPECT_EQ(steps.back(), kSteps + 1);
}

TEST_F(JsonLines, AForeignFileIsRefusedAndKept) {
  for (const std::string foreign : {"my notes\n", "{\"step\": x}\n", "{\"step\": 1 \"loss\": 2}\n", "\n"}) {
    spill(path, foreign);
    const std::string message = test::message_of<IoError>([&] { JsonLinesSink sink(path, 1); });
    EXPECT_EQ(
        message,
        path + ":1 is no step record (the file was not written by caravan, or is damaged). Move it away?");
    EXPECT_EQ(slurp(path), foreign);
  }
}

TEST_F(JsonLines, AFolderThatIsMissingIsNamed) {
  const std::string missing = folder.file("none/metrics.jsonl");
  EXPECT_EQ(test::message_of<IoError>([&] { JsonLinesSink sink(missing, 1); }),
            "cannot open " + missing + " (No such file or directory)");
}

}  // namespace
}  // namespace caravan::io
