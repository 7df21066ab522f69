#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/launcher_codes.hpp"

namespace caravan {
namespace {

using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int code = -1;
  std::string output;  ///< both streams, as a user sees them
  double seconds = 0;

  int times(const std::string& text) const {
    int count = 0;
    for (auto at = output.find(text); at != std::string::npos; at = output.find(text, at + 1)) ++count;
    return count;
  }
};

Outcome run(const std::string& mode, int ranks = 3) {
  const std::string command = std::string("timeout -s KILL 30 ") + MPIRUN + " -n " + std::to_string(ranks) +
                              " " + SESSION_PROGRAM + " " + mode + " token" + std::to_string(getpid()) +
                              " 2>&1";
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), got);
  outcome.code = WEXITSTATUS(pclose(pipe));
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

/// Processes that carry this test's token: ranks that outlived their job.
int survivors() {
  int count = 0;
  const std::string token = "token" + std::to_string(getpid());
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    count += text.find(token) != std::string::npos && text.find(SESSION_PROGRAM) == 0;
  }
  return count;
}

void expect_ended(const Outcome& outcome, int code) {
  EXPECT_EQ(outcome.code, code) << outcome.output;
  EXPECT_LT(outcome.seconds, 15.0);
  for (int wait = 0; wait < 50 && survivors() > 0; ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(survivors(), 0) << "ranks outlived the job";
}

TEST(MpiSession, SuccessIsZeroAndSilent) {
  const Outcome outcome = run("succeed");
  expect_ended(outcome, 0);
  EXPECT_EQ(outcome.output, "");
}

TEST(MpiSession, AnErrorOnOneRankEndsAllWithItsCodeAndItsMessageLast) {
  const Outcome outcome = run("numerical");
  expect_ended(outcome, 16);
  EXPECT_THAT(outcome.output, EndsWith("error [rank 2] the cause\n"));
}

TEST(MpiSession, TheContextOfTheErrorIsPrinted) {
  const Outcome outcome = run("config", 2);
  expect_ended(outcome, 2);
  EXPECT_THAT(outcome.output, EndsWith("error [rank 1] no such key\n  in job.yaml:3\n"));
}

TEST(MpiSession, WhatAllRanksFindIsSaidOnce) {
  const Outcome outcome = run("all_fail");
  expect_ended(outcome, 3);
  EXPECT_EQ(outcome.times("the same everywhere"), 1) << outcome.output;
  EXPECT_THAT(outcome.output, EndsWith("error [rank 0] the same everywhere\n"));
}

TEST(MpiSession, ABrokenConnectionDoesNotHideTheCause) {
  const Outcome outcome = run("echo");
  expect_ended(outcome, 16);
  EXPECT_THAT(outcome.output, EndsWith("error [rank 2] the cause\n"));
  EXPECT_THAT(outcome.output, Not(HasSubstr("the connection broke")));
}

TEST(MpiSession, ALibrarysExceptionIsFailure) {
  const Outcome outcome = run("foreign");
  expect_ended(outcome, 1);
  EXPECT_THAT(outcome.output, EndsWith("error [rank 2] from a library\n"));
}

TEST(MpiSession, ARankKilledBySigkillEndsTheOthers) {
  const Outcome outcome = run("kill");
  expect_ended(outcome, test::kCodeOfKilledRank);
  EXPECT_THAT(outcome.output, HasSubstr("signal 9"));
}

TEST(MpiSession, RanksThatIgnoreSigtermEndToo) {
  const Outcome outcome = run("deaf");
  expect_ended(outcome, 16);
  EXPECT_THAT(outcome.output, HasSubstr("error [rank 2] the cause\n"));
}

TEST(MpiSession, AnAgreedCodeReachesTheShell) {
  const Outcome outcome = run("requeue");
  expect_ended(outcome, 75);
  EXPECT_EQ(outcome.output, "");
}

TEST(MpiSession, AnExceptionThroughTheSessionAbortsInsteadOfWaiting) {
  expect_ended(run("unwind", 2), 1);
}

TEST(MpiSession, AnErrorOfMpiItselfIsFailureAndNotMpisNumber) {
  for (int ranks : {1, 2}) {
    const Outcome outcome = run("mpi_error", ranks);
    expect_ended(outcome, 1);
    EXPECT_THAT(outcome.output, HasSubstr("MPI_Bcast on group 'world' failed: "));
    EXPECT_THAT(outcome.output, AnyOf(HasSubstr("MPI_ERR_ROOT"), HasSubstr("Invalid root")));
  }
}

TEST(MpiSession, OneRankKeepsTheCodeToo) {
  const Outcome outcome = run("alone", 1);
  expect_ended(outcome, 16);
  EXPECT_THAT(outcome.output, EndsWith("error loss is not finite at step 3\n"));
}

}  // namespace
}  // namespace caravan
