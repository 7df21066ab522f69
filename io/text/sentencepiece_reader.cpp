#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/text/readers.hpp"

#ifdef CARAVAN_HAVE_SENTENCEPIECE
#include <sentencepiece_processor.h>

#include "io/text/characters_map.hpp"
#include "io/text/special_tokens.hpp"
#include "io/text/tokenizer_config.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, how a piece spells a space

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string_view bytes, const std::string& path) {
    check_characters_maps(bytes, path);
    const auto status = model_.LoadFromSerializedProto(bytes);
    CARAVAN_CHECK(status.ok(), IoError,
                  fmt::format("{}: not a SentencePiece model that can be read ({}). Is the file damaged?",
                              path, status.message()));
    CARAVAN_CHECK(model_.GetPieceSize() > 0 && model_.GetPieceSize() <= kMostTokenIds, IoError,
                  fmt::format("{}: {} pieces (1 to {} are read). Is the file damaged?", path,
                              model_.GetPieceSize(), kMostTokenIds));
    std::vector<SpecialTokens::Token> controls;
    for (int id = 0; id < model_.GetPieceSize(); ++id)
      if (model_.IsControl(id)) controls.push_back({.name = model_.IdToPiece(id), .id = id});
    specials_ = SpecialTokens(std::move(controls));
    strips_first_space_ = begins_with_space();
    frame_ = frame_without_post_processor(read_tokenizer_config(path), bos(), eos());
  }

  std::vector<std::int32_t> encode(std::string_view text, Special special) const override {
    const std::string valid = replace_invalid_utf8(text);
    std::vector<std::int32_t> ids;
    const auto on_text = [&](std::string_view part) { encode_part(part, ids); };
    const auto on_token = [&](std::int32_t id) { ids.push_back(id); };
    specials_.split(valid, special, on_text, on_token);
    return ids;
  }

  void decode_one(std::int32_t id, DecodePosition& position, std::string& out) const override {
    check(id);
    if (model_.IsControl(id)) return;
    const bool at_start = std::exchange(position.at_start, false);
    if (model_.IsByte(id))
      return out.push_back(static_cast<char>(std::stoi(model_.IdToPiece(id).substr(3, 2), nullptr, 16)));
    if (model_.IsUnknown(id)) return void(out += " \xE2\x81\x87 ");  // U+2047, as the library writes it
    const std::string& spelled = model_.IdToPiece(id);
    std::string_view piece = spelled;
    if (at_start && strips_first_space_ && piece.starts_with(kSpaceMark))
      piece.remove_prefix(kSpaceMark.size());
    append_with_spaces(piece, out);
  }

  std::int32_t vocab_size() const override { return model_.GetPieceSize(); }
  std::string name_of(std::int32_t id) const override {
    check(id);
    return model_.IdToPiece(id);
  }
  std::optional<std::int32_t> special_id(std::string_view name) const override {
    const SpecialTokens::Token* token = specials_.find(name);
    return token ? std::optional(token->id) : std::nullopt;
  }
  std::optional<std::int32_t> bos() const override { return known(model_.bos_id()); }
  std::optional<std::int32_t> eos() const override { return known(model_.eos_id()); }
  TextFrame text_frame() const override { return frame_; }
  std::string description() const override { return fmt::format("SentencePiece, {} tokens", vocab_size()); }

 private:
  static std::optional<std::int32_t> known(int id) { return id >= 0 ? std::optional(id) : std::nullopt; }

  static void append_with_spaces(std::string_view piece, std::string& out) {
    for (std::size_t mark; (mark = piece.find(kSpaceMark)) != std::string_view::npos;
         piece.remove_prefix(mark + kSpaceMark.size()))
      out.append(piece.substr(0, mark)).push_back(' ');
    out += piece;
  }

  /// Whether the model puts a space before the text, which decoding takes away again: the library answers by
  /// example.
  bool begins_with_space() const {
    std::vector<std::string> pieces;
    return model_.Encode("a", &pieces).ok() && !pieces.empty() && pieces[0].starts_with(kSpaceMark);
  }

  void check(std::int32_t id) const {
    CARAVAN_CHECK(id >= 0 && id < vocab_size(), IoError,
                  fmt::format("token id {} (the vocabulary has the ids 0 to {}). Another model's tokens?", id,
                              vocab_size() - 1));
  }

  void encode_part(std::string_view part, std::vector<std::int32_t>& ids) const {
    std::vector<int> more;
    const auto status = model_.Encode(part, &more);
    CARAVAN_CHECK(status.ok(), IoError,
                  fmt::format("SentencePiece cannot encode {} bytes ({})", part.size(), status.message()));
    ids.insert(ids.end(), more.begin(), more.end());
  }

  sentencepiece::SentencePieceProcessor model_;
  SpecialTokens specials_;
  TextFrame frame_;
  bool strips_first_space_ = true;
};

}  // namespace

std::unique_ptr<Tokenizer> read_sentencepiece(std::string_view bytes, const std::string& path) {
  try {
    return std::make_unique<SentencePieceTokenizer>(bytes, path);
  } catch (const IoError&) {
    throw;
  } catch (const std::exception& problem) {  // of the library's own parts
    throw IoError(fmt::format("{}: not a SentencePiece model that can be read ({}). Is the file damaged?",
                              path, problem.what()));
  }
}

}  // namespace caravan::io

#else

namespace caravan::io {

std::unique_ptr<Tokenizer> read_sentencepiece(std::string_view, const std::string& path) {
  throw IoError(
      fmt::format("{}: a SentencePiece model (this build was made without the library, not compiled). "
                  "Install libsentencepiece-dev and build again?",
                  path));
}

}  // namespace caravan::io

#endif
