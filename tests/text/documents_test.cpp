#include "io/data/documents.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  for_each_document(folder.file(name), format, [&](std::string_view text) { documents.emplace_back(text); });
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

TEST(Documents, KeepBytesThatAreNotUtf8) {
  EXPECT_THAT(documents_of("a\xFF\xC3", "x.txt"), ElementsAre("a\xFF\xC3"));
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
  const char* const lines[] = {"{\"text\":1}",    "{\"other\":\"a\"}",   "[]",
                               "{\"text\":\"a\"", "{\"text\":\"\xFF\"}", "nonsense"};
  for (const char* line : lines) {
    const auto read = [&] { documents_of("{\"text\":\"a\"}\n" + std::string(line) + "\n", "x.jsonl"); };
    EXPECT_THAT(test::message_of<IoError>(read), HasSubstr("x.jsonl:2: ")) << line;
  }
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
