#pragma once

#include <optional>
#include <string>
#include <vector>

#include "caravan/tokenizer.hpp"
#include "io/text/bpe_model.hpp"
#include "io/text/pre_tokenizer.hpp"
#include "io/text/special_tokens.hpp"

namespace caravan::io {

/// Text → special tokens → pieces → byte-pair merging. Made by the readers of tiktoken and Hugging Face
/// files.
class BpeTokenizer final : public Tokenizer {
 public:
  /// Llama 4 cuts long text before it is split, so that no run of (non-)white space has more than 25,000
  /// characters.
  enum class LongText { whole, cut_as_llama4 };

  struct Parts {
    std::string format;              ///< for the description: "tiktoken"
    std::vector<std::string> names;  ///< by id, as the file spells them; empty: the byte alphabet's spelling
    std::vector<std::string> decoded;  ///< by id: the bytes that a token stands for
    BpeModel::Parts model;
    PreTokenizer pre_tokenizer;
    std::vector<SpecialTokens::Token> specials;
    std::optional<std::int32_t> bos, eos;
    TextFrame frame;
    LongText long_text = LongText::whole;
  };

  explicit BpeTokenizer(Parts parts);

  std::vector<std::int32_t> encode(std::string_view text, Special special) const override;
  void decode_one(std::int32_t id, DecodePosition& position, std::string& out) const override;
  std::int32_t vocab_size() const override { return vocab_size_; }
  std::string name_of(std::int32_t id) const override;
  std::optional<std::int32_t> special_id(std::string_view name) const override;
  std::optional<std::int32_t> bos() const override { return bos_; }
  std::optional<std::int32_t> eos() const override { return eos_; }
  TextFrame text_frame() const override { return frame_; }
  std::string description() const override;
  /// Whether decode(encode(x)) == x for any bytes x.
  bool keeps_all_bytes() const { return model_.has_all_bytes(); }

 private:
  class Encoding;

  std::string format_;
  std::vector<std::string> names_;
  std::vector<std::string> decoded_;
  BpeModel model_;
  PreTokenizer pre_tokenizer_;
  SpecialTokens specials_;
  std::optional<std::int32_t> bos_, eos_;
  TextFrame frame_;
  LongText long_text_;
  std::int32_t vocab_size_ = 0;
};

}  // namespace caravan::io
