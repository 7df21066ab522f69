#include "io/files/rename_new.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "caravan/error.hpp"
#include "io/checkpoint/staging.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class RenameNew : public ::testing::TestWithParam<void (*)(const std::string&, const std::string&)> {
 protected:
  std::string refusal(const std::string& from, const std::string& to) const {
    return message_of<IoError>([&] { GetParam()(folder_.file(from), folder_.file(to)); });
  }
  TemporaryFolder folder_;
};

TEST_P(RenameNew, NothingThatStandsThereIsReplaced) {
  spill(folder_.file("mine"), "mine");
  spill(folder_.file("theirs"), "theirs");
  std::filesystem::create_directory(folder_.file("folder"));
  std::filesystem::create_directory(folder_.file("empty"));
  std::filesystem::create_symlink("nowhere", folder_.file("link"));

  for (const char* to : {"theirs", "link"})
    EXPECT_THAT(refusal("mine", to), HasSubstr("nothing is replaced"));
  for (const char* to : {"empty", "link"})
    EXPECT_THAT(refusal("folder", to), HasSubstr("nothing is replaced"));

  EXPECT_EQ(slurp(folder_.file("theirs")), "theirs");
  EXPECT_EQ(slurp(folder_.file("mine")), "mine");
}

TEST_P(RenameNew, WhatHasANewNameHasNoOther) {
  spill(folder_.file("a"), "a");
  std::filesystem::create_directory(folder_.file("folder"));

  EXPECT_EQ(refusal("a", "b"), "");
  EXPECT_EQ(refusal("folder", "other"), "");

  EXPECT_FALSE(std::filesystem::exists(folder_.file("a")));
  EXPECT_EQ(slurp(folder_.file("b")), "a");
  EXPECT_TRUE(std::filesystem::is_directory(folder_.file("other")));
}

INSTANTIATE_TEST_SUITE_P(Ways, RenameNew, ::testing::Values(&io::rename_new, &io::rename_new_by_links));

TEST(StagingFolders, WhatAppearedMeanwhileStaysWhereItIsNotToBeReplaced) {
  const TemporaryFolder folder;
  {
    io::StagingFolder staging(folder.path(), "out", io::Former::refused);
    std::filesystem::create_directory(folder.file("out"));
    spill(folder.file("out/theirs"), "theirs");
    EXPECT_THAT(message_of<IoError>([&] { staging.commit(); }), HasSubstr("nothing is replaced"));
  }
  EXPECT_EQ(slurp(folder.file("out/theirs")), "theirs");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1)
      << "the rest is removed";
}

}  // namespace
}  // namespace caravan::test
