#include "io/files/pending_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>
#include <vector>

#include "caravan/error.hpp"
#include "io/files/replace_text.hpp"
#include "io/metrics/append_file.hpp"
#include "tests/io/temporary_folder.hpp"

// Where an output goes: files are replaced as a whole and keep their mode, links are followed, what is no
// file is written to or refused. Devices are nodes of our own: a mistake here would replace them.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct stat status_of(const std::string& path) {
  struct stat status {};
  ::lstat(path.c_str(), &status);
  return status;
}

unsigned mode_of(const std::string& path) {
  return status_of(path).st_mode & 07777u;
}

class Output : public ::testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_.file(name); }
  std::string refusal(const std::string& path, io::NamedBy named_by = io::NamedBy::user) const {
    return message_of<IoError>([&] { io::write_output(path, "new", named_by); });
  }
  /// Names in the folder; what was pending is gone.
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_.path()), {}));
  }
  TemporaryFolder folder_;
};

TEST_F(Output, ReplacesAFileAndKeepsItsMode) {
  for (const unsigned mode : {0600u, 0640u, 0666u, 0755u}) {
    spill(file("x"), "old");
    ASSERT_EQ(::chmod(file("x").c_str(), mode), 0);
    io::write_output(file("x"), "new");
    EXPECT_EQ(slurp(file("x")), "new");
    EXPECT_EQ(mode_of(file("x")), mode);
  }
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Output, KeepsTheOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a file away needs root";
  spill(file("x"), "old");
  ASSERT_EQ(::chown(file("x").c_str(), 1234, 4321), 0);
  io::write_output(file("x"), "new");
  EXPECT_EQ(status_of(file("x")).st_uid, 1234u);
  EXPECT_EQ(status_of(file("x")).st_gid, 4321u);
}

TEST_F(Output, IsAsSecretAsTheFileThatItReplacesFromTheStart) {
  spill(file("x"), "old");
  ASSERT_EQ(::chmod(file("x").c_str(), 0600), 0);
  const io::PendingFile pending(file("x"));
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_EQ(mode_of(entry.path()) & 0077u, 0u) << entry.path();
  EXPECT_EQ(entries(), 2u);
}

/// As another user, for what root may do always.
class Nobody {
 public:
  Nobody() : changed_(::geteuid() == 0) {
    if (changed_ && (::setegid(65534) != 0 || ::seteuid(65534) != 0)) std::abort();
  }
  ~Nobody() {
    if (changed_ && (::seteuid(0) != 0 || ::setegid(0) != 0)) std::abort();
  }

 private:
  bool changed_;
};

TEST_F(Output, AFileThatMayNotBeWrittenIsNotReplaced) {
  fs::permissions(folder_.path(), fs::perms::all);
  spill(file("x"), "old");
  ASSERT_EQ(::chmod(file("x").c_str(), 0444), 0);
  const Nobody nobody;
  EXPECT_THAT(refusal(file("x")), HasSubstr("cannot write " + file("x") + " (Permission denied)"));
  EXPECT_EQ(slurp(file("x")), "old");
}

TEST_F(Output, AnotherGroupDoesNotGetTheRightsOfTheFormer) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a file to a group needs root";
  fs::permissions(folder_.path(), fs::perms::all);
  spill(file("x"), "old");
  ASSERT_EQ(::chown(file("x").c_str(), 0, 4321), 0);
  ASSERT_EQ(::chmod(file("x").c_str(), 04672), 0);
  const Nobody nobody;
  io::write_output(file("x"), "new");
  EXPECT_EQ(mode_of(file("x")), 0622u) << "and no set-user bit of another user";
}

TEST_F(Output, LinksAreFollowedAndStay) {
  fs::create_directory(file("d"));
  spill(file("d/target"), "old");
  fs::create_symlink("d/target", file("inner"));
  fs::create_symlink(file("inner"), file("outer"));
  io::write_output(file("outer"), "new");
  EXPECT_EQ(slurp(file("d/target")), "new");
  EXPECT_TRUE(fs::is_symlink(file("inner")) && fs::is_symlink(file("outer")));
  EXPECT_FALSE(fs::is_symlink(file("d/target")));
}

TEST_F(Output, ALinkToNothingMakesItsTarget) {
  fs::create_symlink("later", file("link"));
  io::write_output(file("link"), "new");
  EXPECT_EQ(slurp(file("later")), "new");
  EXPECT_TRUE(fs::is_symlink(file("link")));
}

TEST_F(Output, WhatCannotBeAnOutputIsRefused) {
  fs::create_directory(file("d"));
  fs::create_symlink("circle", file("circle"));
  EXPECT_THAT(refusal(file("d")), HasSubstr("d is a folder (an output is a file"));
  EXPECT_THAT(refusal(file("new/")), HasSubstr("names a folder"));
  EXPECT_THAT(refusal(""), HasSubstr("empty name"));
  EXPECT_THAT(refusal(file("circle")), HasSubstr("leads nowhere"));
  EXPECT_THAT(refusal(file("no/such/x")), HasSubstr("No such file or directory"));
  EXPECT_EQ(entries(), 2u);
}

TEST_F(Output, ASocketIsRefused) {
  const int end = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = file("socket");
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(end, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_THAT(refusal(path), HasSubstr("is a socket"));
  EXPECT_TRUE(fs::is_socket(path));
  ::close(end);
}

TEST_F(Output, AFifoGetsTheBytesAndStays) {
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  const int reader = ::open(file("fifo").c_str(), O_RDONLY | O_NONBLOCK);
  io::write_output(file("fifo"), "new");
  std::array<char, 8> got{};
  EXPECT_EQ(::read(reader, got.data(), got.size()), 3);
  EXPECT_STREQ(got.data(), "new");
  EXPECT_TRUE(fs::is_fifo(file("fifo")));
  EXPECT_EQ(entries(), 1u);
  ::close(reader);
}

TEST_F(Output, AFifoThatNobodyReadsIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal(file("fifo")), HasSubstr("nobody reads " + file("fifo")));
  EXPECT_TRUE(fs::is_fifo(file("fifo")));
}

TEST_F(Output, DevicesOfCharactersAreWrittenAndDevicesOfBlocksRefused) {
  if (::mknod(file("null").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) GTEST_SKIP() << "mknod needs root";
  ASSERT_EQ(::mknod(file("full").c_str(), S_IFCHR | 0600, makedev(1, 7)), 0);
  ASSERT_EQ(::mknod(file("disk").c_str(), S_IFBLK | 0600, makedev(7, 250)), 0);
  io::write_output(file("null"), "new");
  EXPECT_THAT(refusal(file("full")), HasSubstr("No space left on device"));
  EXPECT_THAT(refusal(file("disk")), HasSubstr("is a block device"));
  EXPECT_EQ(status_of(file("null")).st_rdev, makedev(1, 3));
  EXPECT_EQ(status_of(file("full")).st_rdev, makedev(1, 7));
  EXPECT_EQ(entries(), 3u);
}

TEST_F(Output, AnOpenDescriptorIsWrittenByItsNumber) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  fs::create_symlink("/dev/fd/" + std::to_string(ends[1]), file("link"));
  io::write_output("/dev/fd/" + std::to_string(ends[1]), "new");
  io::write_output(file("link"), "er");
  std::array<char, 8> got{};
  EXPECT_EQ(::read(ends[0], got.data(), got.size()), 5);
  EXPECT_STREQ(got.data(), "newer");
  for (int end : ends) ::close(end);
}

TEST_F(Output, OurOwnFilesAreRegularOrRefused) {
  spill(file("theirs"), "old");
  fs::create_symlink("theirs", file("link"));
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal(file("link"), io::NamedBy::us),
              HasSubstr("link is a symbolic link (only a regular file"));
  EXPECT_THAT(refusal(file("fifo"), io::NamedBy::us), HasSubstr("fifo is a FIFO (only a regular file"));
  io::write_output(file("theirs"), "new", io::NamedBy::us);
  EXPECT_EQ(slurp(file("theirs")), "new");
}

TEST_F(Output, WhatIsReplacedBesideFollowsNoLink) {
  spill(file("theirs"), "old");
  fs::create_symlink("theirs", file("beat.next"));
  io::replace_text(file("beat"), "1");
  EXPECT_EQ(slurp(file("theirs")), "old");
  ASSERT_EQ(::mkfifo(file("beat.next").c_str(), 0600), 0);
  io::replace_text(file("beat"), "2");
  EXPECT_EQ(slurp(file("beat")), "2");
}

TEST_F(Output, WhatGrowsFollowsNoLink) {
  spill(file("theirs"), "old");
  fs::create_symlink("theirs", file("metrics.jsonl"));
  EXPECT_THAT(message_of<IoError>([&] { io::AppendFile(file("metrics.jsonl"), 0).append("x"); }),
              HasSubstr("metrics.jsonl is a symbolic link"));
  EXPECT_EQ(slurp(file("theirs")), "old");
}

class CheckOutputs : public Output {
 protected:
  std::string refusal_of(const std::string& a, const std::string& b) const {
    return message_of<ConfigError>([&] {
      io::check_outputs({{"--a", a}, {"--b", b}}, {{"--in", file("in")}});
    });
  }
};

TEST_F(CheckOutputs, OneFileUnderTwoNamesIsRefused) {
  spill(file("x"), "");
  spill(file("in"), "");
  fs::create_symlink("x", file("link"));
  fs::create_symlink("absent", file("dangling"));
  fs::create_symlink(".", file("here"));
  fs::create_hard_link(file("x"), file("hard"));
  EXPECT_THAT(refusal_of(file("x"), file("x")), HasSubstr("--b and --a are one file"));
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"x", "link"}, {"x", "hard"}, {"x", "./x"}, {"new", "here/new"}, {"absent", "dangling"}};
  for (const auto& [a, b] : pairs)
    EXPECT_THAT(refusal_of(file(a), file(b)), HasSubstr("--b and --a are one file")) << a << " " << b;
  EXPECT_THAT(refusal_of(file("in"), file("y")), HasSubstr("--a and --in are one file"));
}

TEST_F(CheckOutputs, TwoFilesAndNoneAreTaken) {
  spill(file("x"), "");
  spill(file("y"), "");
  EXPECT_THAT(refusal_of(file("x"), file("y")), IsEmpty());
  EXPECT_THAT(refusal_of(file("new"), ""), IsEmpty());
  EXPECT_THAT(refusal_of(file("new"), file("newer")), IsEmpty());
  EXPECT_THAT(refusal_of("/dev/null", "/dev/null"), IsEmpty()) << "only looked at here";
  EXPECT_THROW(io::check_outputs({{"--a", folder_.path()}}, {}), IoError) << "before any work";
}

}  // namespace
}  // namespace caravan::test
