#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/text/load_tokenizer.hpp"
#include "tests/text/reference.hpp"

namespace caravan {
namespace {

struct Corpus {
  const char* name;
  const char* tokenizer;
  const char* texts;
};

class Parity : public testing::TestWithParam<Corpus> {};

std::string text_of(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  return replace_invalid_utf8(tokenizer.decode(ids));
}

TEST_P(Parity, IdsAndTextEqualTheReference) {
  CARAVAN_NEED_REFERENCE(file, std::string("tokenizers/") + GetParam().tokenizer);
  CARAVAN_NEED_REFERENCE(texts, std::string("tokenizers/") + GetParam().texts);
  const auto tokenizer = io::load_tokenizer(file);
  const auto lines = test::read_json_lines(texts);
  ASSERT_EQ(lines.size(), 800u);

  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto text = lines[i]["text"].get<std::string>();
    const auto expected = lines[i]["ids"].get<std::vector<std::int32_t>>();
    const std::string decoded = lines[i].value("decoded", text);
    ASSERT_EQ(tokenizer->encode(text, Special::as_text), expected) << "line " << i << ": " << text;
    ASSERT_EQ(text_of(*tokenizer, expected), decoded) << "line " << i;
  }
}

TEST_P(Parity, StreamedTextEqualsDecodedText) {
  CARAVAN_NEED_REFERENCE(file, std::string("tokenizers/") + GetParam().tokenizer);
  CARAVAN_NEED_REFERENCE(texts, std::string("tokenizers/") + GetParam().texts);
  const auto tokenizer = io::load_tokenizer(file);
  StreamDecoder stream(*tokenizer);

  for (const auto& line : test::read_json_lines(texts)) {
    const auto ids = line["ids"].get<std::vector<std::int32_t>>();
    std::string streamed;
    for (std::int32_t id : ids) {
      const std::string part = stream.push(id);
      ASSERT_EQ(valid_utf8_prefix(part), part.size());
      streamed += part;
    }
    ASSERT_EQ(streamed + stream.finish(), text_of(*tokenizer, ids));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizers, Parity,
    testing::Values(Corpus{"Llama4", "llama4.tokenizer.model", "llama4_tiktoken.jsonl"},
                    Corpus{"Llama2", "llama2.tokenizer.model", "llama2_sentencepiece.jsonl"},
                    Corpus{"TokenizerJson", "titan.tokenizer.json", "titan_tokenizer_json.jsonl"}),
    [](const auto& corpus) { return corpus.param.name; });

}  // namespace
}  // namespace caravan
