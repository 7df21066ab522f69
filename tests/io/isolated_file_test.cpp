#include "io/hdf5/isolated_file.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>

#include "io/files/isolated_child.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::h5::IsolatedFile;
using ::testing::HasSubstr;

class Isolated : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!io::has_sandbox()) GTEST_SKIP() << "built without libseccomp";
  }
};
using IsolatedChildTest = Isolated;
using IsolatedFileTest = Isolated;

/// What a child that does `action` when asked is rejected with.
std::string rejection(const std::function<void()>& action, const io::IsolationLimits& limits = {}) {
  const auto answer = [&](std::string_view) {
    action();
    return std::string("unharmed");
  };
  return message_of<IoError>([&] { io::IsolatedChild("bad.h5", answer, limits).ask(""); });
}

TEST_F(IsolatedChildTest, AnswersOrGivesItsOwnError) {
  const io::IsolatedChild child("f", [](std::string_view question) {
    if (question == "bad") throw IoError("bad magic");
    return std::string(question) + "!";
  });
  EXPECT_EQ(child.ask("one"), "one!");
  EXPECT_EQ(message_of<IoError>([&] { child.ask("bad"); }), "bad magic");
  EXPECT_EQ(child.ask(std::string(1 << 20, 'x')).size(), (1u << 20) + 1) << "it lives on";
  EXPECT_EQ(message_of<IoError>([&] { child.ask(std::string(1 << 20, 'x'), 1000); }),
            "file rejected: the reader of f gave 1048577 bytes at once (damaged or hostile)");
}

TEST_F(IsolatedChildTest, ThatCrashesHangsOrHoardsIsARejectedFile) {
  EXPECT_THAT(rejection([] { std::raise(SIGSEGV); }),
              HasSubstr("file rejected: the reader of bad.h5 was ended by 'Segmentation fault'"));
  const auto spin = [] {
    std::atomic<int> turns = 0;
    for (;;) ++turns;
  };
  EXPECT_THAT(rejection(spin, {.cpu_s = 1}), HasSubstr("file rejected"));
  EXPECT_THAT(rejection(spin, {.wait_s = 1}), HasSubstr("gave no answer for 1 s"));
  EXPECT_THAT(rejection([] { std::string(std::size_t{8} << 30, 'x'); }), HasSubstr("bad_alloc"));
}

/// Long files take many answers, each of which takes its time.
TEST_F(IsolatedChildTest, EveryAnswerHasItsOwnProcessorTime) {
  const auto work = [](std::string_view) {
    const std::clock_t begin = std::clock();
    while (std::clock() - begin < CLOCKS_PER_SEC / 2) {
    }
    return std::string("done");
  };
  const io::IsolatedChild child("long.h5", work, {.cpu_s = 1});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(child.ask(""), "done") << i;
}

TEST_F(IsolatedChildTest, CannotReachAnythingButItsChannel) {
  TemporaryFolder folder;
  spill(folder.file("secret"), "secret");
  const std::string path = folder.file("secret");
  const auto open_it = [&] {
    if (::open(path.c_str(), O_RDONLY) < 0) throw IoError(std::strerror(errno));
  };
  EXPECT_EQ(rejection(open_it), "Permission denied");
  const int descriptor = ::open(path.c_str(), O_RDWR);
  char byte = 'x';
  const std::pair<const char*, std::function<void()>> deeds[] = {
      {"read another descriptor", [&] { (void)!::read(descriptor, &byte, 1); }},
      {"write to another descriptor", [&] { (void)!::write(descriptor, &byte, 1); }},
      {"make a socket", [] { ::socket(AF_INET, SOCK_STREAM, 0); }},
      {"make a process", [] { ::fork(); }},
      {"run a program", [] { ::execl("/bin/true", "true", nullptr); }},
      {"remove a file", [&] { ::unlink(path.c_str()); }},
      {"signal its parent", [] { ::kill(::getppid(), SIGTERM); }},
      {"get executable memory",
       [] { ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }},
  };
  for (const auto& [name, deed] : deeds) EXPECT_THAT(rejection(deed), HasSubstr("'Bad system call'")) << name;
  ::close(descriptor);
  EXPECT_EQ(slurp(path), "secret");
}

TEST_F(IsolatedFileTest, ListsWhatTheFileHoldsAndReadsBlocks) {
  TemporaryFolder folder;
  const Sample sample(1);
  const IsolatedFile file(Sample(1).write(folder.path()) + "/checkpoint.h5");
  ASSERT_EQ(file.nodes().size(), 7u);
  EXPECT_EQ(file.nodes()[0].path, "/");
  EXPECT_GT(file.nodes()[0].attributes.size(), 0u);
  EXPECT_EQ(file.nodes()[2].path, "/model/w.weight");
  EXPECT_EQ(file.nodes()[2].type, "f32");
  EXPECT_EQ(file.nodes()[2].bytes, 256u);
  std::vector<float> block(6);
  file.read(file.nodes()[2], {2, 1}, {2, 3}, std::as_writable_bytes(std::span(block)));
  EXPECT_EQ(block[0], sample.weight[2 * 8 + 1]);
  EXPECT_EQ(block[5], sample.weight[3 * 8 + 3]);
}

TEST_F(IsolatedFileTest, PassesOnWhatTheReaderSays) {
  TemporaryFolder folder;
  spill(folder.file("a.h5"), "no hdf5");
  spill(folder.file("empty.h5"), "");
  EXPECT_THAT(message_of<IoError>([&] { IsolatedFile(folder.file("a.h5")); }),
              HasSubstr("file signature not found"));
  EXPECT_THAT(message_of<IoError>([&] { IsolatedFile(folder.file("empty.h5")); }), HasSubstr("is empty"));
  EXPECT_THAT(message_of<IoError>([] { IsolatedFile("/nowhere/a.h5"); }),
              HasSubstr("cannot open /nowhere/a.h5"));
  EXPECT_THAT(message_of<IoError>([] { IsolatedFile("/dev/zero"); }), HasSubstr("is not a regular file"));
}

/// Whatever the bytes, this process lives on and gets either a list or an IoError.
TEST_F(IsolatedFileTest, SurvivesMutatedFiles) {
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
      const IsolatedFile file(folder.file("bad.h5"));
    } catch (const IoError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace caravan::test
