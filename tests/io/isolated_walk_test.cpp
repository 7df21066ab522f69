#include "io/hdf5/isolated_walk.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <random>

#include "io/files/isolated.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::h5::isolated_walk;
using ::testing::HasSubstr;

TEST(RunIsolated, GivesTextOrTheActionsOwnError) {
  EXPECT_EQ(io::run_isolated("f", [] { return std::string("text"); }), "text");
  EXPECT_EQ(
      message_of<IoError>([] { io::run_isolated("f", []() -> std::string { throw IoError("bad magic"); }); }),
      "bad magic");
}

TEST(RunIsolated, AChildThatCrashesHangsOrHoardsIsARejectedFile) {
  const auto crash = [] { return std::raise(SIGSEGV) ? std::string() : std::string(); };
  EXPECT_THAT(message_of<IoError>([&] { io::run_isolated("bad.h5", crash); }),
              HasSubstr("file rejected: bad.h5 ended its reader with 'Segmentation fault'"));
  const auto hang = []() -> std::string {
    std::atomic<int> spin = 0;
    for (;;) ++spin;
  };
  EXPECT_THAT(message_of<IoError>([&] { io::run_isolated("bad.h5", hang, {.cpu_s = 1}); }),
              HasSubstr("file rejected: bad.h5"));
  const auto sleep = []() -> std::string {
    for (;;) ::pause();
  };
  EXPECT_THAT(message_of<IoError>([&] { io::run_isolated("bad.h5", sleep, {.wait_s = 1}); }),
              HasSubstr("'Alarm clock'"));
  const auto hoard = [] { return std::string(std::size_t{8} << 30, 'x'); };
  EXPECT_THAT(message_of<IoError>([&] { io::run_isolated("bad.h5", hoard); }), HasSubstr("bad_alloc"));
}

TEST(IsolatedWalk, ListsWhatTheFileHolds) {
  TemporaryFolder folder;
  const auto nodes = isolated_walk(Sample(1).write(folder.path()) + "/checkpoint.h5");
  ASSERT_EQ(nodes.size(), 6u);
  EXPECT_EQ(nodes[1].path, "/model/w.weight");
  EXPECT_EQ(nodes[1].type, "f32");
  EXPECT_EQ(nodes[1].bytes, 256u);
}

TEST(IsolatedWalk, PassesOnWhatTheReaderSays) {
  TemporaryFolder folder;
  spill(folder.file("a.h5"), "no hdf5");
  EXPECT_THAT(message_of<IoError>([&] { isolated_walk(folder.file("a.h5")); }),
              HasSubstr("file signature not found"));
  EXPECT_THAT(message_of<IoError>([] { isolated_walk("/nowhere/a.h5"); }),
              HasSubstr("cannot open /nowhere/a.h5"));
  EXPECT_THAT(message_of<IoError>([] { isolated_walk("/dev/zero"); }), HasSubstr("is not a regular file"));
}

/// Whatever the bytes, this process lives on and gets either a list or an IoError.
TEST(IsolatedWalk, SurvivesMutatedFiles) {
  TemporaryFolder folder;
  const std::string good = slurp(Sample(1).write(folder.path()) + "/checkpoint.h5");
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int i = 0; i < 8; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    std::filesystem::remove(folder.file("bad.h5"));  // rewriting in place would make ext4 wait for the disk
    spill(folder.file("bad.h5"), bad);
    try {
      isolated_walk(folder.file("bad.h5"));
    } catch (const IoError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace caravan::test
