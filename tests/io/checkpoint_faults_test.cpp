#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::size_t kFloats = 1 << 16;

/// Writes checkpoint after checkpoint until it is killed.
[[noreturn]] void write_for_ever(const std::string& run, std::int64_t from) {
  for (std::int64_t step = from;; ++step) {
    Sample(step, kFloats).write(run);
    io::prune(run, {.latest = 2}, step);
  }
}

using Clock = std::chrono::steady_clock;

/// How long one checkpoint takes on this machine now: the moments of killing are spread over it.
std::chrono::microseconds time_one(const std::string& run) {
  const auto start = Clock::now();
  Sample(1, kFloats).write(run);
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

bool wait_for_newer(const std::string& run, std::int64_t last) {
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  while (io::list_steps(run).back() <= last) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

bool has_leftovers(const std::string& run) {
  for (const auto& entry : fs::directory_iterator(run)) {
    if (entry.path().string().find(".tmp-") != std::string::npos) return true;
  }
  return false;
}

TEST(KilledWriter, LeavesTheOldOrTheNewCheckpointWhole) {
  TemporaryFolder run;
  const auto one = time_one(run.path());
  std::mt19937 random(20240607);
  std::int64_t last = 1;
  int interrupted = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) write_for_ever(run.path(), last + 1);
    // Every other kill comes after a commit: in pruning, or in the writing of the next checkpoint.
    const bool committed = round % 2 == 0 || wait_for_newer(run.path(), last);
    std::this_thread::sleep_for(one * (random() % 1000) / 1000);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ASSERT_TRUE(committed);
    interrupted += has_leftovers(run.path());
    const auto latest = io::find_latest(run.path());
    ASSERT_TRUE(latest.path);
    EXPECT_TRUE(latest.skipped.empty()) << latest.skipped.front().why;
    EXPECT_GE(latest.step, last + round % 2);
    EXPECT_TRUE(Sample(latest.step, kFloats).is_in(*latest.path)) << "step " << latest.step;
    last = latest.step;
  }
  EXPECT_GT(interrupted, 0);
  Sample(last + 1, kFloats).write(run.path());
  EXPECT_FALSE(has_leftovers(run.path()));
}

/// A disk of two MiB; skips the test where mounting is not allowed.
class FullDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=2m") != 0) {
      GTEST_SKIP() << "mounting a small tmpfs needs root";
    }
    mounted_ = true;
    Sample(1).write(folder_.path());
  }
  void TearDown() override {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  void expect_only_the_old_one() const {
    EXPECT_TRUE(Sample(1).is_in(folder_.file("step-00000001")));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1);
  }
  TemporaryFolder folder_;
  bool mounted_ = false;
};

TEST_F(FullDisk, IsFoundBeforeAnythingIsWritten) {
  EXPECT_THAT(message_of<IoError>([&] { Sample(2, 1 << 18).write(folder_.path()); }),
              HasSubstr("(the disk is full)"));
  expect_only_the_old_one();
}

TEST_F(FullDisk, InTheMiddleLeavesTheOldCheckpointAndGivesTheSpaceBack) {
  std::vector<float> large(1 << 18);
  for (int round = 0; round < 3; ++round) {
    EXPECT_NE(message_of<IoError>([&] {
                io::CheckpointWriter writer(folder_.path(), {.step = 2}, 0);
                for (const char* name : {"/model/a", "/model/b", "/model/c"}) {
                  writer.tensor(name, TensorView(large.data(), DType::f32, {1 << 18}));
                }
                writer.commit();
              }),
              "");
    expect_only_the_old_one();
    EXPECT_GT(fs::space(folder_.path()).available, std::uintmax_t{1'900'000});
  }
  Sample(3).write(folder_.path());
  EXPECT_TRUE(Sample(3).is_in(folder_.file("step-00000003")));
}

TEST_F(FullDisk, WhileSmallTensorsAreStillBufferedIsReported) {
  const auto free = fs::space(folder_.path()).available;
  const std::string ballast = folder_.file("ballast");
  spill(ballast, std::string(free - 8192, 'b'));
  EXPECT_NE(message_of<IoError>([&] {
              io::CheckpointWriter writer(folder_.path(), {.step = 2}, 0);
              std::vector<float> small(300);
              for (int i = 0; i < 40; ++i) {
                writer.tensor("/model/t" + std::to_string(i), TensorView(small.data(), DType::f32, {300}));
              }
              writer.commit();
            }),
            "");
  fs::remove(ballast);
  expect_only_the_old_one();
}

TEST(AFileSizeLimit, EndsTheWritingWithAnError) {
  TemporaryFolder folder;
  Sample(1).write(folder.path());
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::vector<float> large(1 << 19);
    const std::string message = message_of<IoError>([&] {
      io::CheckpointWriter writer(folder.path(), {.step = 2}, 0);
      writer.tensor("/model/a", TensorView(large.data(), DType::f32, {1 << 19}));
      writer.commit();
    });
    ::_exit(message.find("File too large") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(AnUnwritableFolder, IsNamed) {
  EXPECT_THAT(message_of<IoError>([] { Sample(1).write("/proc/nothing"); }),
              HasSubstr("cannot make the folder /proc/nothing"));
}

}  // namespace
}  // namespace caravan::test
