#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/text/pre_tokenizer.hpp"

namespace caravan::io {

/// A byte-level BPE vocabulary: the 256 bytes, then one token for each merge, in order.
struct LearnedBpe {
  std::vector<std::string> tokens;
  std::vector<std::pair<std::int32_t, std::int32_t>> merges;  ///< ids; merge i makes token 256 + i
};

/// Learns a vocabulary from text, split as Llama 4 splits it. The same text gives the same vocabulary, in
/// whatever pieces of whole files it is added.
class BpeTrainer {
 public:
  /// Called now and then with the number of tokens so far.
  using OnProgress = std::function<void(std::int32_t)>;

  BpeTrainer();
  /// Any bytes.
  void add_text(std::string_view text);
  /// Merges the most frequent pair (the lower ids on ties) until there are `num_tokens` tokens, or no pair is
  /// left that occurs twice. Counts are updated where a merge changes them, so the cost grows with the text,
  /// not with the vocabulary.
  LearnedBpe learn(std::int32_t num_tokens, const OnProgress& on_progress) const;

 private:
  PreTokenizer pre_tokenizer_;
  std::unordered_map<std::string, std::int64_t> pieces_;
};

}  // namespace caravan::io
