#include "io/text/bpe_trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "io/text/readers.hpp"
#include "io/text/tokenizer_json_writer.hpp"

namespace caravan::io {
namespace {

LearnedBpe learn(std::string_view text, std::int32_t tokens) {
  BpeTrainer trainer;
  trainer.add_text(text);
  return trainer.learn(tokens, [](std::int32_t) {});
}

/// The definition, for words of letters with a blank between: count all pairs anew for every merge.
std::vector<std::pair<std::int32_t, std::int32_t>> learn_slowly(const std::vector<std::string>& words,
                                                                std::int32_t tokens) {
  std::vector<std::vector<std::int32_t>> symbols;
  for (const std::string& word : words) symbols.emplace_back(word.begin(), word.end());
  std::vector<std::pair<std::int32_t, std::int32_t>> merges;
  for (std::int32_t id = 256; id < tokens; ++id) {
    std::map<std::pair<std::int32_t, std::int32_t>, int> counts;
    for (const auto& word : symbols)
      for (std::size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    const auto best = std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; });
    if (best == counts.end() || best->second < 2) break;
    merges.push_back(best->first);
    for (auto& word : symbols)
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        if (std::pair(word[i], word[i + 1]) != best->first) continue;
        word[i] = id;
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
  }
  return merges;
}

TEST(BpeTrainer, EqualsCountingAllPairsAnewForEveryMerge) {
  std::mt19937_64 random(3);
  std::vector<std::string> words;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    std::string word(i == 0 ? 0 : 1, ' ');
    for (auto letters = 1 + random() % 6; letters > 0; --letters)
      word.push_back(static_cast<char>('a' + random() % 4));
    words.push_back(word);
    text += word;
  }

  EXPECT_EQ(learn(text, 400).merges, learn_slowly(words, 400));
}

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  const LearnedBpe learned = learn("ab ab ab cd cd", 258);

  ASSERT_EQ(learned.tokens.size(), 258u);
  EXPECT_EQ(learned.tokens[256], "ab");
  EXPECT_EQ(learned.tokens[257], " c") << "the lowest ids of three pairs that occur twice";
}

TEST(BpeTrainer, StopsWhenNoPairOccursTwice) {
  EXPECT_EQ(learn("abcdefg", 300).tokens.size(), 256u);
  EXPECT_EQ(learn("", 300).tokens.size(), 256u);
}

TEST(BpeTrainer, LearnsFromBytesThatAreNoText) {
  const LearnedBpe learned = learn("\xFF\xFE \xFF\xFE \xFF\xFE", 257);

  EXPECT_EQ(learned.tokens.at(256), "\xFF\xFE");
}

TEST(TokenizerJson, ReadsBackWhatTheTrainerLearned) {
  const LearnedBpe learned =
      learn("the cat and the dog and the \"bird\" \\ the end. the cat and the dog", 280);
  const auto tokenizer = read_tokenizer_json(write_tokenizer_json(learned), "own.json");

  const auto size = static_cast<std::int32_t>(learned.tokens.size());
  EXPECT_EQ(tokenizer->vocab_size(), size + kNumAddedTokens);
  EXPECT_EQ(tokenizer->bos(), size);
  EXPECT_EQ(tokenizer->eos(), size + 1);
  EXPECT_EQ(tokenizer->name_of(size), "<|begin_of_text|>");
  for (std::int32_t id = 0; id < size; ++id)
    EXPECT_EQ(tokenizer->decode(std::array{id}), learned.tokens[static_cast<std::size_t>(id)]);
  EXPECT_EQ(tokenizer->encode(" the", Special::as_text).size(), 1u);
}

}  // namespace
}  // namespace caravan::io
