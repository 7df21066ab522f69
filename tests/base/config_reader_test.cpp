#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "caravan/config.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

std::string refusal(const std::string& yaml) {
  return message_of<ConfigError>([&] { Config::parse(yaml, "job.yaml"); });
}

std::string nested(int levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST(ConfigReader, RefusesAnchorsAliasesAndTags) {
  EXPECT_EQ(refusal("a: 1\nb: &x 2"), "job.yaml:2: anchors (&name) are not allowed. Write the value out?");
  EXPECT_EQ(refusal("b: &x {c: 1}"), "job.yaml:1: anchors (&name) are not allowed. Write the value out?");
  EXPECT_EQ(refusal("b: &x"), "job.yaml:1: anchors (&name) are not allowed. Write the value out?");
  EXPECT_EQ(refusal("a: !!int 3"),
            "job.yaml:1: tags ('tag:yaml.org,2002:int') are not allowed. Leave it away?");
  EXPECT_EQ(refusal("a: !<!x> [1]"), "job.yaml:1: tags ('!x') are not allowed. Leave it away?");
  EXPECT_NE(refusal("a: *x"), "");
}

TEST(ConfigReader, RefusesDuplicateKeysWithBothPlaces) {
  EXPECT_EQ(refusal("train:\n  lr: 1\n  steps: 2\n  lr: 3"),
            "job.yaml:4: the key 'lr' stands twice in train (first at job.yaml:2). Remove one?");
  EXPECT_EQ(refusal("{a: 1, 'a': 2}"),
            "job.yaml:1: the key 'a' stands twice in the top level (first at job.yaml:1). Remove one?");
}

TEST(ConfigReader, RefusesWhatFollowsTheFirstDocument) {
  const std::string expected = "there is text after the first document (one document a file). Remove it?";

  EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"), "job.yaml:2: " + expected);
  EXPECT_EQ(refusal("[1, 2] and more"), "job.yaml: " + expected);
  EXPECT_EQ(refusal("{a: 1} }"), "job.yaml:1: '}' closes nothing. Remove it?");
}

TEST(ConfigReader, TheInputThatHangsLoadAllEnds) {
  EXPECT_NE(refusal(", "), "");
}

TEST(ConfigReader, RefusesMoreThan64Levels) {
  EXPECT_EQ(refusal(nested(64)), "");
  EXPECT_EQ(refusal(nested(65)), "job.yaml:1: more than 64 levels of nesting");
  EXPECT_EQ(refusal(nested(100'000)), "job.yaml:1: more than 64 levels of nesting");
  EXPECT_NE(refusal(std::string(100'000, '[')), "");
}

TEST(ConfigReader, RefusesTooManyValuesAndTooManyBytes) {
  std::string many = "[";
  for (int i = 0; i < 50'000; ++i) many += "1,";

  EXPECT_EQ(refusal(many + "]"), "job.yaml:1: more than 50000 values");
  EXPECT_EQ(refusal(std::string((1 << 20) + 1, ' ')), "job.yaml: 1048577 bytes (at most 1048576)");
}

TEST(ConfigReader, RefusesMapsThatTakeQuadraticTimeToSearch) {
  std::string many;
  for (int i = 0; i <= 4096; ++i) many += "k" + std::to_string(i) + ":\n";

  EXPECT_EQ(refusal(many), "job.yaml:4097: more than 4096 keys in a map");
}

TEST(ConfigReader, RefusesKeysThatAreNoWordsOrTooLong) {
  EXPECT_EQ(refusal("? [a, b]\n: 1"), "job.yaml:1: a key is a list or a map (keys are words)");
  EXPECT_EQ(refusal("~: 1"), "job.yaml:1: a key is empty or null (keys are words)");
  EXPECT_THAT(refusal("? " + std::string(2000, 'k') + "\n: 1"), HasSubstr("is too long"));
}

TEST(ConfigReader, RefusesTextThatIsNotUtf8) {
  for (const std::string bad :
       {"a: \xff", "a: \xc0\xaf", "a: \xed\xa0\x80", "a: \xf4\x90\x80\x80", "a: \xe2\x82"}) {
    EXPECT_EQ(refusal(bad), "job.yaml: the text is not UTF-8");
  }
  EXPECT_EQ(refusal(std::string("a: b\0c", 6)), "job.yaml: the text is not UTF-8");
  EXPECT_EQ(Config::parse("a: 日本 é 🐪").get_string("a"), "日本 é 🐪");
}

TEST(ConfigReader, AnEmptyTextIsNull) {
  EXPECT_TRUE(Config::parse("").is_null());
  EXPECT_TRUE(Config::parse("# nothing\n").is_null());
  EXPECT_EQ(Config::parse("---\na: 1\n...\n").get_int("a"), 1);
}

TEST(ConfigReader, FilesThatCannotBeReadSayWhy) {
  EXPECT_EQ(message_of<ConfigError>([] { Config::load("/does/not/exist.yaml"); }),
            "cannot open /does/not/exist.yaml (No such file or directory). Is the path right?");
  EXPECT_EQ(message_of<ConfigError>([] { Config::load("/tmp"); }),
            "/tmp is not a regular file (it is a folder). Is the path right?");
  EXPECT_THAT(message_of<ConfigError>([] { Config::load("/dev/zero"); }),
              HasSubstr("/dev/zero is not a regular file (it is a character device)"));
}

TEST(ConfigReader, LoadsAFile) {
  const std::string path = ::testing::TempDir() + "caravan_config_reader_test.yaml";
  std::ofstream(path) << "train:\n  steps: 7\n";

  const Config loaded = Config::load(path);

  EXPECT_EQ(loaded.at("train").get_int("steps"), 7);
  EXPECT_EQ(loaded.at("train").at("steps").where(), path + ":2");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace caravan
