#include "io/data/text_reader.hpp"

#include <fmt/format.h>
#ifdef CARAVAN_HAVE_SIMDJSON
#include <simdjson.h>
#endif

#include <algorithm>
#include <span>

#include "caravan/check.hpp"
#include "caravan/utf8.hpp"
#include "io/data/file_kind.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;
constexpr std::size_t kHeadBytes = 512;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF", kReplacement = "\xEF\xBF\xBD";
constexpr std::size_t kSurrogateBytes = 3;

unsigned char byte_of(char c) {
  return static_cast<unsigned char>(c);
}

/// Half a surrogate pair, or its front, written as if it were a character: ED A0 80 … ED BF BF.
bool begins_surrogate(std::string_view text) {
  return text.size() >= 2 && byte_of(text[0]) == 0xED && byte_of(text[1]) >= 0xA0 && byte_of(text[1]) <= 0xBF;
}

/// How many bytes at the end are the front of a character whose rest is still to come.
std::size_t open_bytes_at_end(std::string_view text) {
  for (std::size_t size = std::min<std::size_t>(text.size(), 3); size > 0; --size) {
    const std::string_view tail = text.substr(text.size() - size);
    if (begins_surrogate(tail)) return size < kSurrogateBytes ? size : 0;
    const Utf8Sequence first = scan_utf8(tail);
    if (first.state == Utf8State::incomplete && first.length == size) return size;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
#ifdef CARAVAN_HAVE_SIMDJSON
  return simdjson::validate_utf8(text.data(), text.size());
#else
  return valid_utf8_prefix(text) == text.size();
#endif
}

bool is_text(std::string_view piece) {
  return piece.find('\0') == std::string_view::npos && is_utf8(piece);
}

/// Bytes at the front that are whole characters other than NUL.
std::size_t text_prefix(std::string_view rest) {
  return valid_utf8_prefix(rest.substr(0, rest.find('\0')));
}

}  // namespace

TextReader::TextReader(const std::string& path, Content content, TextRepairs& repairs)
    : name_(spoken_name(path)), content_(content), repairs_(repairs), source_(open_bytes(path)) {
  while (buffer_.size() < kHeadBytes && fill()) {
  }
  head_ = buffer_.substr(0, kHeadBytes);
  if (content_ == Content::binary || !buffer_.starts_with(kByteOrderMark)) return;
  buffer_.erase(0, kByteOrderMark.size());
  given_ = kByteOrderMark.size();
  ++repairs_.byte_order_marks;
}

bool TextReader::fill() {
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kPieceBytes);
  const std::size_t got = source_->read(std::as_writable_bytes(std::span(buffer_)).subspan(before));
  buffer_.resize(before + got);
  is_at_end_ = got == 0;
  return got > 0;
}

bool TextReader::append_to(std::string& text) {
  if (!is_at_end_) fill();
  if (buffer_.empty()) return false;
  const std::size_t open = is_at_end_ ? 0 : open_bytes_at_end(buffer_);
  const std::string_view piece = std::string_view(buffer_).substr(0, buffer_.size() - open);
  if (content_ == Content::binary || is_text(piece))
    text.append(piece);
  else
    append_checked(piece, text);
  given_ += piece.size();
  buffer_.erase(0, piece.size());
  return true;
}

void TextReader::append_checked(std::string_view piece, std::string& text) {
  const std::size_t whole = piece.size();
  while (!piece.empty()) {
    const std::size_t good = text_prefix(piece);
    text.append(piece.substr(0, good));
    piece.remove_prefix(good);
    if (piece.empty()) return;
    given_ += whole - piece.size();  // for the place that a message names
    const std::size_t repaired = repair(piece, text);
    given_ -= whole - piece.size();
    piece.remove_prefix(repaired);
  }
}

/// How many bytes were replaced.
std::size_t TextReader::repair(std::string_view rest, std::string& text) {
  if (!begins_surrogate(rest) || rest.size() < kSurrogateBytes || (byte_of(rest[2]) & 0xC0) != 0x80)
    refuse(rest);
  if (repairs_.surrogates++ == 0) repairs_.first_surrogate = fmt::format("{}: byte {}", name_, given_);
  text.append(kReplacement);
  return kSurrogateBytes;
}

void TextReader::refuse(std::string_view rest) const {
  const std::string_view kind = kind_of_bytes(head_);
  const std::string what =
      rest.front() == '\0' ? "NUL" : fmt::format("0x{:02X}, no UTF-8", byte_of(rest.front()));
  throw IoError(fmt::format(
      "{}: byte {} is {} (text in UTF-8 is read{}). {}, or take any bytes (--binary, in a job data.binary: "
      "true)?",
      name_, given_, what, kind.empty() ? "" : fmt::format("; this looks like {}", kind),
      kind.starts_with("UTF") ? fmt::format("Convert it with iconv -f {} -t UTF-8", kind) : "Convert it"));
}

}  // namespace caravan::io
