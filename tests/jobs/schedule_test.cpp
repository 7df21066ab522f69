#include <gmock/gmock.h>
#include <sys/resource.h>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ScheduleVerb : public JobTest {
 protected:
  Outcome schedule(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "schedule");
    return caravan(arguments);
  }
  Outcome gpipe(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"gpipe", "--ranks", "2", "--microbatches", "2"});
    return schedule(arguments);
  }
};

constexpr const char* kGPipe = "0F0,0F1,0B0,0B1,0REDUCE_GRAD\n1F0,1F1,1B0,1B1,1REDUCE_GRAD\n";

TEST_F(ScheduleVerb, CsvIsThePlan) {
  const Outcome outcome = gpipe({"--format", "csv"});
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_EQ(outcome.out, kGPipe);
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(ScheduleVerb, CommsLowersThePlan) {
  EXPECT_EQ(gpipe({"--format", "csv", "--comms"}).out,
            "0UNSHARD,0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD,0RESHARD\n"
            "1UNSHARD,1RECV_F0,1F0,1RECV_F1,1F1,1B0,1SEND_B0,1B1,1SEND_B1,1REDUCE_GRAD,1RESHARD\n");
}

TEST_F(ScheduleVerb, RecomputeRepeatsForwards) {
  EXPECT_THAT(gpipe({"--format", "csv", "--recompute"}).out, StartsWith("0F0,0F1,0R0,0B0,0R1,0B1,"));
}

TEST_F(ScheduleVerb, TextIsAPictureAndASummary) {
  const Outcome outcome = gpipe({});
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("rank 1    F0 F1 B0--- B1---\n"));
  EXPECT_THAT(outcome.out, HasSubstr("gpipe: 2 ranks, 2 stages, 2 micro-batches\n"));
  EXPECT_THAT(outcome.out, HasSubstr("bubble        33.3 %\n"));
}

TEST_F(ScheduleVerb, CostsChangeTheTimes) {
  const auto makespan = [&](const std::string& costs) {
    const Outcome outcome = gpipe({"--json", "--cost", costs});
    return nlohmann::json::parse(outcome.out).at("makespan").get<double>();
  };
  EXPECT_EQ(makespan("F=1"), 9);
  EXPECT_EQ(makespan("F=2,I=3,W=4"), 27);
  EXPECT_EQ(makespan("comm=0.5"), 10);
}

TEST_F(ScheduleVerb, WritesAFileThatTheCsvScheduleReadsBack) {
  const std::string path = file("plan.csv");
  const Outcome written = gpipe({"--format", "csv", "--comms", "--output", path});
  EXPECT_TRUE(ended_with(written, 0));
  EXPECT_THAT(written.out, IsEmpty());
  const Outcome read = schedule({"csv", "--csv", path, "--json"});
  EXPECT_TRUE(ended_with(read, 0)) << read.err;
  const auto summary = nlohmann::json::parse(read.out);
  EXPECT_EQ(summary.at("ranks"), 2);
  EXPECT_EQ(summary.at("title"), "csv: 2 ranks, 2 stages, 2 micro-batches");
}

TEST_F(ScheduleVerb, TakesTheSchedulesOwnOptions) {
  spill(file("plan.csv"), kGPipe);
  const Outcome read = schedule({"csv", "file=" + file("plan.csv"), "--format", "csv"});
  EXPECT_TRUE(ended_with(read, 0)) << read.err;
  EXPECT_EQ(read.out, kGPipe);
}

TEST_F(ScheduleVerb, DrawsAndTraces) {
  const Outcome svg = gpipe({"--format", "svg"});
  EXPECT_TRUE(ended_with(svg, 0));
  EXPECT_THAT(svg.out, StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  const Outcome trace = gpipe({"--format", "trace"});
  EXPECT_GT(nlohmann::json::parse(trace.out).at("traceEvents").size(), 8U);
}

TEST_F(ScheduleVerb, WrongUseIsTwoAndSaysWhatWouldBeRight) {
  spill(file("bad.csv"), "0F0,0B0\n1F0,1Q0\n");
  spill(file("stuck.csv"), "0F0,0B0,0F1,0B1\n1F1,1B1,1F0,1B0\n");
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{}, "name is required"},
      {{"gpip", "--ranks", "2", "--microbatches", "2"}, "Did you mean 'gpipe'?"},
      {{"gpipe", "--microbatches", "2"}, "--ranks is required"},
      {{"gpipe", "--ranks", "2"}, "--microbatches is required"},
      {{"gpipe", "--ranks", "0", "--microbatches", "2"}, "--ranks"},
      {{"gpipe", "--ranks", "2", "--microbatches", "x"}, "--microbatches"},
      {{"gpipe", "--ranks", "65536", "--microbatches", "1048576"}, "forwards (at most 33554432)"},
      {{"gpipe", "--ranks", "2", "--microbatches", "2", "--stages-per-rank", "2"}, "stage"},
      {{"gpipe", "--ranks", "2", "--microbatches", "2", "--format", "png"}, "--format"},
      {{"gpipe", "--ranks", "2", "--microbatches", "2", "--format", "csv", "--json"}, "--json"},
      {{"gpipe", "--ranks", "2", "--microbatches", "2", "--cost", "Q=1"}, "--cost 'Q=1'"},
      {{"gpipe", "--ranks", "2", "--microbatches", "2", "--csv", "x"}, "a file is read by the schedule csv"},
      {{"1f1b", "--ranks", "4", "--microbatches", "2"}, "microbatches=2"},
      {{"csv"}, "command line: key 'file' in schedule_options is missing (schedule 'csv' needs it"},
      {{"csv", "fil=x"}, "command line: unknown key 'fil' in schedule_options"},
      {{"csv", "fil=x"}, "Did you mean 'file'?"},
      {{"csv", "file"}, "has no '='"},
      {{"csv", "--csv", "x", "file=y"}, "--csv x and file=y (both name the file)"},
      {{"gpipe", "--ranks", "2", "--microbatches", "2", "depth=3"},
       "command line: unknown key 'depth' in schedule_options (no parameter of schedule 'gpipe'). It takes "
       "none."},
      {{"csv", "--csv", file("bad.csv")}, "bad.csv: row 2, column 2: '1Q0' is no action"},
      {{"csv", "--csv", file("stuck.csv")}, "Stuck: rank 0, step 2 (0B0); rank 1, step 1 (1F1)"}};
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = schedule(arguments);
    EXPECT_TRUE(ended_with(outcome, 2)) << message << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(ScheduleVerb, AFileThatIsNotThereIsBadInput) {
  const Outcome outcome = schedule({"csv", "--csv", file("nowhere.csv")});
  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("nowhere.csv"));
}

TEST_F(ScheduleVerb, AnOutputThatCannotBeWrittenIsSaid) {
  const Outcome outcome = gpipe({"--output", file("no/such/folder.txt")});
  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("no/such/folder.txt"));
}

/// Of the largest program that this test has started, in GiB.
double peak_of_programs() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}

TEST_F(ScheduleVerb, LargePlansTakeSecondsAndLittleMemory) {
  const Outcome small = schedule({"dualpipev", "--ranks", "64", "--microbatches", "512"});
  EXPECT_TRUE(ended_with(small, 0));
  EXPECT_LT(small.seconds, 0.5);
  const Outcome large = schedule({"dualpipev", "--ranks", "512", "--microbatches", "4096"});
  EXPECT_TRUE(ended_with(large, 0));
  EXPECT_THAT(large.out, StartsWith("dualpipev: 512 ranks, 1024 stages, 4096 micro-batches\n"));
  EXPECT_LT(large.out.size(), 1000U);
  EXPECT_LT(large.seconds, 10);
  EXPECT_LT(peak_of_programs(), 2);
}

}  // namespace
}  // namespace caravan::test
