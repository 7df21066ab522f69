#include <gtest/gtest.h>

#include <random>

#include "io/text/bpe_trainer.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/readers.hpp"
#include "io/text/tokenizer_json_writer.hpp"
#include "tests/text/reference.hpp"

namespace caravan {
namespace {

constexpr const char* kText =
    "In the beginning God created the heaven and the earth. And the earth was without form. ";

std::unique_ptr<Tokenizer> own_tokenizer() {
  io::BpeTrainer trainer;
  trainer.add_text(kText);
  trainer.add_text(kText);
  return io::read_tokenizer_json(io::write_tokenizer_json(trainer.learn(300, [](std::int32_t) {})),
                                 "own.json");
}

/// Bytes of a few kinds, so that whole characters, cut ones and noise stand side by side.
std::string random_bytes(std::mt19937_64& random) {
  static const char* const pieces[] = {"the ",         "é",        "日本", "👩‍👧", "\xF0\x9F", "\xC3",
                                       "\xED\xA0\x80", "\x00\x01", "  \n"};
  std::string bytes;
  for (int i = static_cast<int>(random() % 60); i > 0; --i) {
    const auto kind = random() % 12;
    if (kind < 9) bytes += pieces[kind];
    if (kind >= 9) bytes.push_back(static_cast<char>(random()));
  }
  return bytes;
}

void expect_round_trips(const Tokenizer& tokenizer) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    const std::string bytes = random_bytes(random);
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes, Special::as_text)), bytes) << "round " << round;
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes, Special::recognise)), bytes) << "round " << round;
  }
}

TEST(Bytes, OwnTokenizerRoundTripsAnyBytes) {
  expect_round_trips(*own_tokenizer());
}

TEST(Bytes, Llama4RoundTripsAnyBytes) {
  CARAVAN_NEED_REFERENCE(file, "tokenizers/llama4.tokenizer.model");
  expect_round_trips(*io::load_tokenizer(file));
}

TEST(Bytes, InvalidBytesAreReplacedByTokenizersThatLackThem) {
  CARAVAN_NEED_REFERENCE(file, "tokenizers/llama2.tokenizer.model");
  const auto tokenizer = io::load_tokenizer(file);

  EXPECT_EQ(tokenizer->encode("a\xFF\xC3z", Special::as_text),
            tokenizer->encode("a\uFFFD\uFFFDz", Special::as_text));
}

TEST(Utf8, ReplacesMaximalSubpartsLikePython) {
  // bytes.decode("utf-8", errors="replace") of CPython 3.11.
  const std::pair<std::string, std::string> cases[] = {
      {"abc", "abc"},
      {"\xFF", "\uFFFD"},
      {"\xC3", "\uFFFD"},
      {"\xC3(", "\uFFFD("},
      {"\xE2\x82", "\uFFFD"},
      {"\xE2\x82(", "\uFFFD("},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xF0\x9F\x98(", "\uFFFD("},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},
      {"\xF0\x80\x80\x41", "\uFFFD\uFFFD\uFFFD\x41"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\x41"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(replace_invalid_utf8(bytes), expected);
}

TEST(Streaming, HoldsAnEmojiBackUntilItIsWhole) {
  const auto tokenizer = own_tokenizer();
  StreamDecoder stream(*tokenizer);
  std::vector<std::string> parts;

  for (std::int32_t id : tokenizer->encode("a🙂b", Special::as_text)) parts.push_back(stream.push(id));

  EXPECT_EQ(parts, (std::vector<std::string>{"a", "", "", "", "🙂", "b"}));
  EXPECT_EQ(stream.finish(), "");
}

TEST(Streaming, ShowsWhatCanNoLongerBecomeACharacter) {
  const auto tokenizer = own_tokenizer();
  StreamDecoder stream(*tokenizer);

  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push('x'), "\uFFFDx");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

}  // namespace
}  // namespace caravan
