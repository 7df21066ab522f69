#include "io/text/bpe_trainer.hpp"

#include <algorithm>
#include <queue>

#include "io/text/bpe_model.hpp"

namespace caravan::io {
namespace {

constexpr std::int32_t kNumBytes = 256;
constexpr std::int64_t kLeastCount = 2;
constexpr std::int32_t kProgressEvery = 64;

struct Word {
  std::vector<std::int32_t> symbols;
  std::int64_t count = 0;
};

struct Pair {
  std::int64_t count = 0;
  std::vector<std::size_t> words;  // that held the pair when it was counted; some may have lost it since
};

struct PairCandidate {
  std::int64_t count;
  std::uint64_t pair;
  bool operator<(const PairCandidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

/// The words of the text as symbols, and how often each pair of neighbours occurs in all of them.
class PairCounts {
 public:
  explicit PairCounts(const std::unordered_map<std::string, std::int64_t>& pieces) {
    for (const auto& [piece, count] : pieces) {
      Word word{{}, count};
      for (char c : piece) word.symbols.push_back(static_cast<unsigned char>(c));
      words_.push_back(std::move(word));
    }
    for (std::size_t w = 0; w < words_.size(); ++w)
      for (std::size_t i = 0; i + 1 < words_[w].symbols.size(); ++i) count(w, i, +1);
    publish();
  }

  /// The most frequent pair; its count is 0 when none is left.
  PairCandidate take_best() {
    while (!queue_.empty()) {
      const PairCandidate best = queue_.top();
      queue_.pop();
      const std::int64_t now = pairs_[best.pair].count;
      if (now == best.count) return best;
      if (now > 0) queue_.push({now, best.pair});  // counts only fall after a pair was published
    }
    return {0, 0};
  }

  void merge(std::uint64_t pair, std::int32_t id) {
    const std::vector<std::size_t> words = std::move(pairs_[pair].words);
    for (std::size_t w : words) merge_in_word(w, pair, id);
    pairs_.erase(pair);
    publish();
  }

 private:
  static std::uint64_t pair_at(const Word& word, std::size_t i) {
    return BpeModel::pair_key(word.symbols[i], word.symbols[i + 1]);
  }

  void count(std::size_t w, std::size_t i, int sign) {
    const std::uint64_t key = pair_at(words_[w], i);
    Pair& pair = pairs_[key];
    pair.count += sign * words_[w].count;
    if (sign < 0) return;
    if (pair.words.empty() || pair.words.back() != w) pair.words.push_back(w);
    fresh_.push_back(key);
  }

  void merge_in_word(std::size_t w, std::uint64_t pair, std::int32_t id) {
    Word& word = words_[w];
    bool holds_pair = false;
    for (std::size_t i = 0; !holds_pair && i + 1 < word.symbols.size(); ++i)
      holds_pair = pair_at(word, i) == pair;
    if (!holds_pair) return;
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) count(w, i, -1);
    std::vector<std::int32_t> merged;
    for (std::size_t i = 0; i < word.symbols.size(); ++i) {
      const bool here = i + 1 < word.symbols.size() && pair_at(word, i) == pair;
      merged.push_back(here ? id : word.symbols[i]);
      i += here;
    }
    word.symbols = std::move(merged);
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) count(w, i, +1);
  }

  void publish() {
    std::ranges::sort(fresh_);
    fresh_.erase(std::unique(fresh_.begin(), fresh_.end()), fresh_.end());
    for (std::uint64_t pair : fresh_) queue_.push({pairs_[pair].count, pair});
    fresh_.clear();
  }

  std::vector<Word> words_;
  std::unordered_map<std::uint64_t, Pair> pairs_;
  std::priority_queue<PairCandidate> queue_;
  std::vector<std::uint64_t> fresh_;
};

std::vector<SplitStep> llama4_steps() {
  std::vector<SplitStep> steps;
  steps.push_back({Regex(kLlama4Split), SplitStep::Matches::isolated});
  return steps;
}

}  // namespace

BpeTrainer::BpeTrainer() : pre_tokenizer_(llama4_steps()) {}

void BpeTrainer::add_text(std::string_view text) {
  RegexScratch scratch;
  pre_tokenizer_.split(text, scratch, [this](std::string_view piece) { ++pieces_[std::string(piece)]; });
}

LearnedBpe BpeTrainer::learn(std::int32_t num_tokens, const OnProgress& on_progress) const {
  LearnedBpe learned;
  for (int byte = 0; byte < kNumBytes; ++byte) learned.tokens.emplace_back(1, static_cast<char>(byte));
  PairCounts counts(pieces_);
  while (static_cast<std::int32_t>(learned.tokens.size()) < num_tokens) {
    const auto id = static_cast<std::int32_t>(learned.tokens.size());
    const PairCandidate best = counts.take_best();
    if (best.count < kLeastCount) break;
    const auto left = static_cast<std::int32_t>(best.pair >> 32);
    const auto right = static_cast<std::int32_t>(best.pair & 0xFFFFFFFFu);
    learned.merges.emplace_back(left, right);
    learned.tokens.push_back(learned.tokens[static_cast<std::size_t>(left)] +
                             learned.tokens[static_cast<std::size_t>(right)]);
    counts.merge(best.pair, id);
    if (id % kProgressEvery == 0) on_progress(id);
  }
  return learned;
}

}  // namespace caravan::io
