#include "caravan/open_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "caravan/error.hpp"

// One way to open: regular files, at once, never through a link where it writes. A test that waits has
// failed.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OpenFile : public ::testing::Test {
 protected:
  OpenFile() { fs::create_directories(folder_); }
  ~OpenFile() override { fs::remove_all(folder_); }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  static void spill(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string refusal(const std::string& path, int flags) {
    try {
      ::close(open_file(path, flags));
    } catch (const IoError& error) {
      return error.message();
    }
    return "";
  }

 private:
  fs::path folder_ = fs::path(::testing::TempDir()) / ("caravan-open-file-" + std::to_string(::getpid()));
};

TEST_F(OpenFile, WhatIsNoFileIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  for (int flags : {O_RDONLY, O_RDWR, O_WRONLY, O_WRONLY | O_CREAT})
    EXPECT_EQ(refusal(file("fifo"), flags), file("fifo") + " is not a regular file (it is a FIFO)") << flags;
  EXPECT_THAT(refusal("/dev/zero", O_RDONLY), HasSubstr("(it is a character device)"));
  EXPECT_THAT(refusal(::testing::TempDir(), O_RDONLY), HasSubstr("(it is a folder)"));
  EXPECT_THAT(refusal(file("none"), O_RDONLY), HasSubstr("cannot open " + file("none") + " (No such file"));
}

TEST_F(OpenFile, LinksAreReadButNotWrittenThrough) {
  spill(file("secret"), "theirs");
  fs::create_symlink("secret", file("link"));
  EXPECT_EQ(read_file(file("link"), 100), "theirs");
  EXPECT_THAT(refusal(file("link"), O_WRONLY | O_CREAT | O_TRUNC), HasSubstr("link is a symbolic link"));
  EXPECT_EQ(read_file(file("secret"), 100), "theirs");
}

TEST_F(OpenFile, DescriptorsEndAtExec) {
  spill(file("x"), "");
  const int descriptor = open_file(file("x"), O_RDONLY);
  EXPECT_NE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
  ::close(descriptor);
}

TEST_F(OpenFile, MoreThanTheMostIsRefused) {
  spill(file("x"), "12345");
  EXPECT_EQ(read_file(file("x"), 5), "12345");
  EXPECT_THROW(read_file(file("x"), 4), IoError);
  EXPECT_THROW(read_file("/proc/self/status", 4), IoError) << "a file that does not say its size";
}

}  // namespace
}  // namespace caravan::test
