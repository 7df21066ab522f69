#include "io/data/documents.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "caravan/error.hpp"
#include "io/text/bpe_trainer.hpp"
#include "io/text/readers.hpp"
#include "io/text/tokenizer_json_writer.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Separator = DocumentFormat::Separator;

std::vector<std::string> documents_of(const std::string& bytes, const std::string& name,
                                      const DocumentFormat& format = {}) {
  const test::TemporaryFolder folder;
  test::spill(folder.file(name), bytes);
  std::vector<std::string> documents;
  TextRepairs repairs;
  for_each_document(folder.file(name), format, repairs,
                    [&](std::string_view text) { documents.emplace_back(text); });
  return documents;
}

TEST(Documents, AreWholeFilesByDefault) {
  EXPECT_THAT(documents_of("a\n\nb\n", "x.txt"), ElementsAre("a\n\nb\n"));
  EXPECT_THAT(documents_of("", "x.txt"), ElementsAre());
}

TEST(Documents, EndAtBlankLinesWhenAsked) {
  const DocumentFormat format{.separator = Separator::blank_line};
  EXPECT_THAT(documents_of("a\nb\n\n \t\nc\r\n\r\nd", "x", format), ElementsAre("a\nb\n", "c\r\n", "d"));
  EXPECT_THAT(documents_of("\n\n", "x", format), ElementsAre());
}

TEST(Documents, EndAtLineBreaksWhenAsked) {
  EXPECT_THAT(documents_of("a\r\n\nb", "x", {.separator = Separator::line}), ElementsAre("a", "b"));
}

TEST(Documents, KeepAnyBytesWhenAsked) {
  const std::string bytes(
      "\xEF\xBB\xBF"
      "a\xFF\xC3\0\xED\xA0\x80",
      10);
  EXPECT_THAT(documents_of(bytes, "x.txt", {.content = Content::binary}), ElementsAre(bytes));
  EXPECT_THAT(documents_of("{\"text\":\"a\\u0000\"}", "x.jsonl", {.content = Content::binary}),
              ElementsAre(std::string("a\0", 2)));
}

TEST(Documents, OfAJsonLineWithNulAreRefused) {
  const auto read = [] { documents_of("{\"text\":\"b\"}\n{\"text\":\"a\\u0000\"}\n", "x.jsonl"); };
  EXPECT_THAT(test::message_of<IoError>(read), HasSubstr("x.jsonl:2: byte 1 of the field 'text' is NUL"));
}

TEST(Documents, WithHalfASurrogatePairHaveAReplacementInItsPlace) {
  const std::string replacement = "\xEF\xBF\xBD";
  EXPECT_THAT(documents_of(R"({"text":"a\ud83d b\udE00"}
{"text":"\ud83d\ude00 \\ud83d \uD83D\uD83D\ude00"})",
                           "x.jsonl"),
              ElementsAre("a" + replacement + " b" + replacement,
                          "\xF0\x9F\x98\x80 \\ud83d " + replacement + "\xF0\x9F\x98\x80"));
  EXPECT_THAT(documents_of("a\xED\xA0\x80z\xED\xBF\xBF", "x.txt"),
              ElementsAre("a" + replacement + "z" + replacement));
}

TEST(Documents, BeginBehindAByteOrderMark) {
  EXPECT_THAT(documents_of("\xEF\xBB\xBF"
                           "a\n",
                           "x.txt"),
              ElementsAre("a\n"));
  EXPECT_THAT(documents_of("\xEF\xBB\xBF"
                           "{\"text\":\"a\"}\n",
                           "x.jsonl"),
              ElementsAre("a"));
  EXPECT_THAT(documents_of("\xEF\xBB\xBF", "x.txt"), ElementsAre());
}

TEST(Documents, ThatAreNoTextAreRefusedWithTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {std::string("ab\0c", 4), "byte 2 is NUL (text in UTF-8 is read)."},
      {"\xEF\xBB\xBF"
       "ab\xFF",
       "byte 5 is 0xFF, no UTF-8"},
      {"ab\xC3", "byte 2 is 0xC3, no UTF-8"},
      {"ab\xED\xA0", "byte 2 is 0xED, no UTF-8"},
      {std::string("\xFF\xFE"
                   "a\0b\0",
                   6),
       "this looks like UTF-16). Convert it with iconv -f UTF-16 -t UTF-8"},
      {std::string("\xFE\xFF\0a\0b", 6), "looks like UTF-16"},
      {std::string("a\0b\0c\0d\0", 8), "byte 1 is NUL (text in UTF-8 is read; this looks like UTF-16)"},
      {std::string("\x7F"
                   "ELF\2\1\1\0",
                   8),
       "byte 7 is NUL (text in UTF-8 is read; this looks like an executable"},
      {"BZh91AY&SY\x88", "looks like bzip2 data"},
      {std::string("PK\3\4\0", 5), "looks like a zip archive"}};
  for (const auto& [bytes, message] : cases) {
    const std::string text = test::message_of<IoError>([&] { documents_of(bytes, "x.txt"); });
    EXPECT_THAT(text, HasSubstr("x.txt: byte ")) << message;
    EXPECT_THAT(text, HasSubstr(message));
    EXPECT_THAT(text, HasSubstr("--binary"));
  }
}

TEST(Documents, AreReadAcrossThePiecesInWhichAFileComes) {
  std::string text;
  for (int i = 0; i < 200'000; ++i)
    text += i % 3 == 0 ? "\xE2\x82\xAC" : i % 3 == 1 ? "\xF0\x9F\x98\x80" : "x";
  EXPECT_THAT(documents_of(text, "x.txt"), ElementsAre(text));
  const std::string shifted = "y" + text;
  EXPECT_THAT(documents_of(shifted, "x.txt"), ElementsAre(shifted));
  const std::string damaged = text + "\xE2\x82" + "x";
  EXPECT_THAT(test::message_of<IoError>([&] { documents_of(damaged, "x.txt"); }),
              HasSubstr(fmt::format("byte {} is 0xE2", text.size())));
}

TEST(Documents, AreCutIntoStretchesWhereNoWordIsCut) {
  std::string text;
  while (text.size() < (9u << 20)) text += "Some words, 'and' more.\n\n  indented\n/path\nEnd";
  const auto stretches = documents_of(text, "x", {.separator = Separator::anywhere});
  BpeTrainer whole, parts;
  whole.add_text(text);
  for (const std::string& stretch : stretches) parts.add_text(stretch);
  const auto quiet = [](std::int32_t) {};

  EXPECT_GT(stretches.size(), 1u);
  EXPECT_EQ(std::accumulate(stretches.begin(), stretches.end(), std::string()), text);
  EXPECT_EQ(whole.learn(300, quiet).merges, parts.learn(300, quiet).merges);
  EXPECT_EQ(documents_of(std::string(5u << 20, 'x'), "x", {.separator = Separator::anywhere}).size(), 1u);
}

TEST(Documents, AreAFieldOfAJsonLine) {
  EXPECT_THAT(
      documents_of("{\"text\":\"a\\n\\u00e9\",\"n\":1}\n\n{\"text\":\"\"}\n{\"text\":\"b\"}", "x.jsonl"),
      ElementsAre("a\né", "b"));
  EXPECT_THAT(
      documents_of("{\"body\":\"a\"}", "x.txt", {.kind = DocumentFormat::Kind::json_lines, .field = "body"}),
      ElementsAre("a"));
}

TEST(Documents, OfADamagedJsonLineAreRefusedWithTheirLine) {
  const char* const lines[] = {"{\"text\":1}", "{\"other\":\"a\"}", "[]", "{\"text\":\"a\"", "nonsense"};
  for (const char* line : lines) {
    const auto read = [&] { documents_of("{\"text\":\"a\"}\n" + std::string(line) + "\n", "x.jsonl"); };
    EXPECT_THAT(test::message_of<IoError>(read), HasSubstr("x.jsonl:2: ")) << line;
  }
  EXPECT_THAT(test::message_of<IoError>([] { documents_of("{\"text\":\"\xFF\"}", "x.jsonl"); }),
              HasSubstr("x.jsonl: byte 9 is 0xFF, no UTF-8"));
  const std::string deep = std::string(1000, '[');
  EXPECT_THAT(test::message_of<IoError>([&] { documents_of(deep, "x.jsonl"); }), HasSubstr("x.jsonl:1: "));
}

TEST(DocumentEncoder, AddsTheBordersThatAreAskedFor) {
  const auto tokenizer =
      read_tokenizer_json(write_tokenizer_json(BpeTrainer().learn(256, [](std::int32_t) {})), "own.json");
  using Border = DocumentEncoder::Border;
  std::vector<std::int32_t> both, none;

  DocumentEncoder(*tokenizer, Border::token, Border::token).encode("a<|end_of_text|>", both);
  DocumentEncoder(*tokenizer, Border::none, Border::none).encode("ab", none);

  EXPECT_EQ(both.front(), 256);
  EXPECT_EQ(both.back(), 257);
  EXPECT_EQ(both.size(), 2u + 16u) << "the name of a special token in a document is text";
  EXPECT_THAT(none, ElementsAre('a', 'b'));
}

TEST(DocumentEncoder, NeedsATokenizerWithTheBorders) {
  const auto bare = read_tokenizer_json(R"({"model":{"type":"BPE","vocab":{"a":0}}})", "bare.json");
  EXPECT_EQ(test::message_of<ConfigError>([&] {
              DocumentEncoder(*bare, DocumentEncoder::Border::token, DocumentEncoder::Border::none);
            }),
            "the tokenizer has no bos token (it was asked for). Leave bos out?");
}

}  // namespace
}  // namespace caravan::io
