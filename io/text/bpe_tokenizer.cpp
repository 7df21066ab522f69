#include "io/text/bpe_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "caravan/check.hpp"
#include "io/text/byte_alphabet.hpp"
#include "io/text/long_text.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kRememberFrom = 4096;     // bytes of text from which remembering pieces pays
constexpr std::size_t kLongestRemembered = 32;  // bytes of a piece
constexpr std::size_t kMostRemembered = 1 << 16;

}  // namespace

/// One call of encode: the working memory, and the pieces that the text has repeated so far.
class BpeTokenizer::Encoding {
 public:
  Encoding(const BpeTokenizer& tokenizer, std::size_t bytes)
      : tokenizer_(tokenizer), remember_(bytes >= kRememberFrom) {
    ids.reserve(bytes / 4 + 8);
  }

  void add_text(std::string_view text) {
    tokenizer_.pre_tokenizer_.split(text, regex_, [this](std::string_view piece) { add_piece(piece); });
  }

  std::vector<std::int32_t> ids;

 private:
  struct Range {
    std::size_t begin, end;  // of ids
  };

  void add_piece(std::string_view piece) {
    if (!remember_ || piece.size() > kLongestRemembered)
      return tokenizer_.model_.encode(piece, merging_, ids);
    const auto known = pieces_.find(std::string(piece));
    if (known != pieces_.end()) {
      const Range range = known->second;
      for (std::size_t i = range.begin; i < range.end; ++i) ids.push_back(ids[i]);
      return;
    }
    const std::size_t begin = ids.size();
    tokenizer_.model_.encode(piece, merging_, ids);
    if (pieces_.size() < kMostRemembered) pieces_.emplace(piece, Range{begin, ids.size()});
  }

  const BpeTokenizer& tokenizer_;
  bool remember_;
  RegexScratch regex_;
  BpeModel::Scratch merging_;
  std::unordered_map<std::string, Range> pieces_;
};

BpeTokenizer::BpeTokenizer(Parts parts)
    : format_(std::move(parts.format)),
      names_(std::move(parts.names)),
      decoded_(std::move(parts.decoded)),
      model_(std::move(parts.model)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      specials_(std::move(parts.specials)),
      bos_(parts.bos),
      eos_(parts.eos),
      frame_(std::move(parts.frame)),
      long_text_(parts.long_text),
      vocab_size_(static_cast<std::int32_t>(decoded_.size())) {
  for (const SpecialTokens::Token& token : specials_.all()) vocab_size_ = std::max(vocab_size_, token.id + 1);
}

std::vector<std::int32_t> BpeTokenizer::encode(std::string_view text, Special special) const {
  std::string replaced;
  if (!model_.has_all_bytes() && valid_utf8_prefix(text) != text.size())
    text = replaced = replace_invalid_utf8(text);
  Encoding encoding(*this, text.size());
  const auto on_text = [&](std::string_view part) { encoding.add_text(part); };
  const auto on_token = [&](std::int32_t id) { encoding.ids.push_back(id); };
  if (long_text_ == LongText::whole) {
    specials_.split(text, special, on_text, on_token);
    return std::move(encoding.ids);
  }
  for (std::string_view part : cut_as_llama4(text)) specials_.split(part, special, on_text, on_token);
  return std::move(encoding.ids);
}

void BpeTokenizer::decode_one(std::int32_t id, DecodePosition&, std::string& out) const {
  CARAVAN_CHECK(id >= 0 && id < vocab_size_, IoError,
                fmt::format("token id {} (the vocabulary has the ids 0 to {}). Another model's tokens?", id,
                            vocab_size_ - 1));
  if (const SpecialTokens::Token* token = specials_.find(id)) {
    out += token->name;
    return;
  }
  if (static_cast<std::size_t>(id) < decoded_.size()) out += decoded_[static_cast<std::size_t>(id)];
}

std::string BpeTokenizer::name_of(std::int32_t id) const {
  if (const SpecialTokens::Token* token = specials_.find(id)) return token->name;
  if (id >= 0 && static_cast<std::size_t>(id) < names_.size()) return names_[static_cast<std::size_t>(id)];
  std::string bytes;
  DecodePosition position;
  decode_one(id, position, bytes);
  return spell_bytes(bytes);
}

std::optional<std::int32_t> BpeTokenizer::special_id(std::string_view name) const {
  const SpecialTokens::Token* token = specials_.find(name);
  return token ? std::optional(token->id) : std::nullopt;
}

std::string BpeTokenizer::description() const {
  return fmt::format("{}, {} tokens", format_, vocab_size_);
}

}  // namespace caravan::io
