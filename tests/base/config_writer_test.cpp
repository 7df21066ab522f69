#include <gtest/gtest.h>

#include <random>

#include "caravan/config.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using testing::message_of;

TEST(ConfigWriter, WritesBlocksWithInnermostListsOnOneLine) {
  const Config node = Config::parse(
      "{train: {lr: 3e-4, betas: [0.9, 0.95]}, stages: [{a: 1}, [1, 2]], none: , e: {}, l: []}");

  EXPECT_EQ(node.to_yaml(),
            "train:\n  lr: 3e-4\n  betas: [0.9, 0.95]\nstages:\n  -\n    a: 1\n  - [1, 2]\nnone: null\ne: "
            "{}\nl: []\n");
  EXPECT_EQ(Config::parse(node.to_yaml()), node);
}

TEST(ConfigWriter, EveryAwkwardStringReadsBackEqual) {
  for (const char* text : {"",
                           "~",
                           "null",
                           "Null",
                           "true",
                           "12",
                           "3e-4",
                           "- a",
                           "a: b",
                           "a #b",
                           "#c",
                           " lead",
                           "trail ",
                           "'",
                           "\"",
                           "\\",
                           "a\nb",
                           "\n",
                           "\t",
                           "\x7f",
                           "\x01",
                           "%x",
                           "@x",
                           "`x",
                           "!x",
                           "&x",
                           "*x",
                           "|",
                           ">",
                           "?",
                           ":",
                           "-",
                           "--",
                           "---",
                           "...",
                           "....",
                           "=",
                           "<<",
                           "yes",
                           "010",
                           "[a",
                           "{a",
                           "a,b",
                           "日本",
                           "\xc2\x85",
                           "\xe2\x80\xa8",
                           "\xef\xbb\xbf",
                           "1:30",
                           "-1",
                           "-x",
                           ".5",
                           "/a/b",
                           "a\r\nb",
                           "\r"}) {
    Config node = Config::map();
    node.set("key", Config::scalar(text));
    node.set(*text ? text : "empty", Config::scalar("value"));

    const Config back = Config::parse(node.to_yaml());

    EXPECT_EQ(back.get_string("key"), text) << node.to_yaml();
    EXPECT_EQ(back.entries().back().first, *text ? text : "empty") << node.to_yaml();
  }
}

TEST(ConfigWriter, QuotedNumbersStayStrings) {
  const Config back = Config::parse(Config::parse("{a: '12', b: 12, c: 'true'}").to_yaml());

  EXPECT_TRUE(back.at("a").is_quoted());
  EXPECT_EQ(back.get_int("b"), 12);
  EXPECT_TRUE(back.at("c").is_quoted());
}

TEST(ConfigWriter, RandomTreesReadBackEqual) {
  std::mt19937 random(7);
  const std::string alphabet = "ab0-:# '\"\\\n\t,[]{}&*!|>%@`?=~.é";
  const auto word = [&] {
    std::string out;
    for (auto length = random() % 6 + 1; length > 0; --length) {
      const char c = alphabet[random() % (alphabet.size() - 2)];
      out += c;
    }
    return out;
  };
  for (int round = 0; round < 500; ++round) {
    Config root = Config::map();
    Config inner = Config::list();
    for (int i = 0; i < 3; ++i) {
      inner.append(Config::scalar(word()));
      Config leaf = Config::map();
      leaf.set(word(), Config::scalar(word()));
      if (random() % 2) inner.append(leaf);
    }
    root.set(word(), inner);
    root.set(word(), Config::scalar(word()));
    ASSERT_EQ(Config::parse(root.to_yaml()), root) << root.to_yaml();
  }
}

TEST(ConfigWriter, TextThatIsNotUtf8IsRefused) {
  Config node = Config::map();
  node.set("key", Config::scalar("\xff"));

  EXPECT_EQ(message_of<ConfigError>([&] { node.to_yaml(); }),
            "built in: key cannot be written (its text is not UTF-8)");
  EXPECT_NE(message_of<ConfigError>([&] { node.to_json(); }), "");
}

TEST(ConfigWriter, JsonHasTypes) {
  EXPECT_EQ(Config::parse("{a: 1, b: 0.5, c: true, d: '1', e: [x], f: , g: yes}").to_json(),
            "{\n  \"a\": 1,\n  \"b\": 0.5,\n  \"c\": true,\n  \"d\": \"1\",\n  \"e\": [\n    \"x\"\n  ],\n"
            "  \"f\": null,\n  \"g\": \"yes\"\n}");
}

}  // namespace
}  // namespace caravan
