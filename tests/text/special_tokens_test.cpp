#include "io/text/special_tokens.hpp"

#include <gtest/gtest.h>

#include "caravan/error.hpp"
#include "io/text/long_text.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::io {
namespace {

std::vector<std::string> split(const SpecialTokens& tokens, std::string_view text, Special special) {
  std::vector<std::string> parts;
  tokens.split(
      text, special, [&](std::string_view part) { parts.emplace_back(part); },
      [&](std::int32_t id) { parts.push_back("#" + std::to_string(id)); });
  return parts;
}

using Parts = std::vector<std::string>;

TEST(SpecialTokens, TakeTheLeftmostAndThereTheLongest) {
  const SpecialTokens tokens(
      {{.name = "<a>", .id = 1}, {.name = "<a><b>", .id = 2}, {.name = "b>c", .id = 3}});

  EXPECT_EQ(split(tokens, "x<a><b>c<a>", Special::recognise), (Parts{"x", "#2", "c", "#1"}));
}

TEST(SpecialTokens, ArePlainTextUnlessAskedOrAlwaysTokens) {
  const SpecialTokens tokens({{.name = "<s>", .id = 1}, {.name = "<t>", .id = 2, .always = true}});

  EXPECT_EQ(split(tokens, "<s>x<t>", Special::as_text), (Parts{"<s>x", "#2"}));
  EXPECT_EQ(split(tokens, "<s>x<t>", Special::recognise), (Parts{"#1", "x", "#2"}));
}

TEST(SpecialTokens, StripWhiteSpaceWhenTold) {
  const SpecialTokens tokens({{.name = "<m>", .id = 1, .strip_left = true, .strip_right = true}});

  EXPECT_EQ(split(tokens, "a \n<m> \tb", Special::recognise), (Parts{"a", "#1", "b"}));
  EXPECT_EQ(split(tokens, "  <m>  ", Special::recognise), (Parts{"#1"}));
}

TEST(SpecialTokens, AreFoundAsWordsOfTheirOwnWhenTold) {
  const SpecialTokens tokens({{.name = "foo", .id = 1, .single_word = true}});

  EXPECT_EQ(split(tokens, "foo-foo xfoo foo_ foo1", Special::recognise),
            (Parts{"#1", "-", "#1", " xfoo foo_ foo1"}));
  EXPECT_EQ(split(tokens, "\u00e9foo \u200dfoo foo\u0301 \u4e2dfoo", Special::recognise),
            (Parts{"\u00e9foo \u200dfoo foo\u0301 \u4e2dfoo"}));
  EXPECT_EQ(split(tokens,
                  "\xFF"
                  "foo\xFF",
                  Special::recognise),
            (Parts{"\xFF", "#1", "\xFF"}));
}

TEST(SpecialTokens, ThatComeLastAreFoundInWhatTheOthersLeave) {
  const SpecialTokens tokens({{.name = "<m>", .id = 1}, {.name = "x<m>", .id = 2, .last = true}});

  EXPECT_EQ(split(tokens, "x<m>", Special::recognise), (Parts{"x", "#1"}));
}

TEST(SpecialTokens, TakeTheirBytesAlsoWhereTheyAreText) {
  const SpecialTokens tokens({{.name = "<m>", .id = 1}, {.name = "m", .id = 2, .always = true}});

  EXPECT_EQ(split(tokens, "<m>m", Special::as_text), (Parts{"<m>", "#2"}));
}

TEST(SpecialTokens, RefuseANameThatStandsTwice) {
  EXPECT_EQ(test::message_of<IoError>([] {
              SpecialTokens({{.name = "<s>", .id = 1}, {.name = "<s>", .id = 2}});
            }),
            "special token '<s>' stands twice (a name has one id). Is the file damaged?");
}

TEST(LongText, IsCutWhereARunPasses25000Characters) {
  const std::string text = "ab " + std::string(60'000, 'x') + " end";
  const auto parts = cut_as_llama4(text);

  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].size(), 3u + 25'000u);
  EXPECT_EQ(parts[1].size(), 25'000u);
  EXPECT_EQ(parts[2].size(), 10'000u + 4u);
}

TEST(LongText, IsCutAfter400000Characters) {
  std::string text;
  while (text.size() < 1'000'000) text += "é ";  // 3 bytes, 2 characters
  const auto parts = cut_as_llama4(text);

  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].size(), 600'000u);
  EXPECT_EQ(parts[0].size() + parts[1].size(), text.size());
}

TEST(LongText, IsOnePieceWhenShort) {
  EXPECT_EQ(cut_as_llama4("a b").size(), 1u);
}

}  // namespace
}  // namespace caravan::io
