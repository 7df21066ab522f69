#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <tuple>

#include "io/checkpoint/catalogue.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

// The disk fails, fills up, or the process dies at every single change of a file while a checkpoint is
// written.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct End {
  int status = 0;
  std::string message;
  bool was_killed() const { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
  bool exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
};

class EveryFault : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  /// Writes `step` with the call `at` broken.
  End write(const std::string& run, std::int64_t step, const std::string& kind, long at) const {
    const std::string err = folder_.file("err");
    const pid_t child = ::fork();
    if (child == 0) {
      if (!std::freopen(err.c_str(), "w", stderr)) ::_exit(9);
      ::setenv("FAULT_FOLDER", run.c_str(), 1);
      ::setenv("FAULT_KIND", kind.c_str(), 1);
      ::setenv("FAULT_AT", std::to_string(at).c_str(), 1);
      ::setenv("FAULT_COUNT", folder_.file("count").c_str(), 1);
      ::setenv("LD_PRELOAD", CARAVAN_FAULT_SHIM, 1);
      ::execl(CARAVAN_CHECKPOINT_PROGRAM, "checkpoint_program", run.c_str(), std::to_string(step).c_str(),
              std::get<1>(GetParam()).c_str(), nullptr);
      ::_exit(9);
    }
    End end;
    ::waitpid(child, &end.status, 0);
    end.message = slurp(err);
    return end;
  }
  long count_calls() const {
    fs::create_directory(folder_.file("counted"));
    EXPECT_TRUE(write(folder_.file("counted"), 1, "0", 0).exited_with(0));
    return std::stol(slurp(folder_.file("count")));
  }
  TemporaryFolder folder_;
};

/// Either all of step 4 or step 3 as it was, and nothing that looks like a checkpoint and is none.
void expect_old_or_new(const std::string& run, const End& end) {
  const io::Latest latest = io::find_latest(run);
  ASSERT_TRUE(latest.path);
  EXPECT_TRUE(latest.skipped.empty()) << latest.skipped.front().why;
  ASSERT_GE(latest.step, 3);
  EXPECT_TRUE(Sample(latest.step, kSharedElements).is_in(*latest.path));
  EXPECT_TRUE(latest.step == 4 || !end.exited_with(0));
}

/// What the program says of a fault.
const char* message_of(const std::string& kind) {
  return kind == "kill" ? "" : kind == "5" ? "Input/output error" : "No space left on device";
}

TEST_P(EveryFault, LeavesTheOldOrTheNewCheckpoint) {
  const std::string kind = std::get<0>(GetParam()), old = folder_.file("old"), run = folder_.file("run");
  const long calls = count_calls();
  ASSERT_GT(calls, 20);
  fs::create_directory(old);
  for (std::int64_t step : {2, 3}) ASSERT_TRUE(write(old, step, "0", 0).exited_with(0));
  int failures = 0;
  for (long at = 1; at <= calls + 8; ++at) {
    SCOPED_TRACE(fmt::format("call {} of {}", at, calls));
    fs::remove_all(run);
    fs::copy(old, run, fs::copy_options::recursive);
    const End end = write(run, 4, kind, at);
    const bool failed = kind == "kill" ? end.was_killed() : end.exited_with(3);
    ASSERT_TRUE(failed || end.exited_with(0)) << "status " << end.status << ": " << end.message;
    failures += failed;
    EXPECT_THAT(end.message, HasSubstr(failed ? message_of(kind) : ""));
    expect_old_or_new(run, end);
    ASSERT_TRUE(write(run, 5, "0", 0).exited_with(0)) << "the next one is written";
    EXPECT_TRUE(Sample(5, kSharedElements).is_in(run + "/step-00000005"));
    for (const auto& entry : fs::directory_iterator(run))
      EXPECT_EQ(entry.path().string().find("step-00000004.tmp"), std::string::npos) << entry.path();
  }
  EXPECT_GT(failures, calls / 2);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, EveryFault,
    ::testing::Combine(::testing::Values("kill", "5", "28", "short"), ::testing::Values("shards", "one")),
    [](const auto& test) {
      const std::string kind = std::get<0>(test.param);
      return (kind == "5" ? "eio" : kind == "28" ? "enospc" : kind) + "_" + std::get<1>(test.param);
    });

}  // namespace
}  // namespace caravan::test
