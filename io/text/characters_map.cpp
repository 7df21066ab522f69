#include "io/text/characters_map.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

// Source: google/sentencepiece, src/sentencepiece_model.proto. Both specifications of a normalizer hold a
// map.
constexpr std::uint64_t kNormalizer = 3, kDenormalizer = 5, kMap = 2;

[[noreturn]] void refuse(const std::string& path, const char* why) {
  throw IoError(
      fmt::format("{}: not a SentencePiece model that can be read ({}). Is the file damaged?", path, why));
}

/// The fields of one protobuf message, in order.
class Fields {
 public:
  Fields(std::string_view message, const std::string& path) : rest_(message), path_(path) {}

  /// The next field that holds bytes; others are passed over. Nothing at the end.
  std::optional<std::string_view> next_bytes() {
    while (!rest_.empty()) {
      const std::uint64_t tag = varint();
      number_ = tag >> 3;
      switch (tag & 7) {
        case 0:
          varint();
          break;
        case 1:
          take(8);
          break;
        case 2:
          return take(varint());
        case 5:
          take(4);
          break;
        default:
          refuse(path_, "a field of an unknown kind");
      }
    }
    return std::nullopt;
  }
  std::uint64_t number() const noexcept { return number_; }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    refuse(path_, "a number without an end");
  }

  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size()) refuse(path_, "a field longer than the file");
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_;
  const std::string& path_;
  std::uint64_t number_ = 0;
};

/// Source of the format: s-yata/darts-clone, include/darts.h; google/sentencepiece, src/normalizer.cc.
class CharactersMap {
 public:
  CharactersMap(std::string_view blob, const std::string& path) : path_(path) {
    std::uint32_t bytes = 0;
    if (blob.size() <= sizeof(bytes)) refuse(path, "a map of characters that is too short");
    std::memcpy(&bytes, blob.data(), sizeof(bytes));
    blob.remove_prefix(sizeof(bytes));
    if (bytes == 0 || bytes % sizeof(std::uint32_t) != 0 || bytes >= blob.size() || blob.back() != '\0')
      refuse(path, "a map of characters of a wrong size");
    units_.resize(bytes / sizeof(std::uint32_t));
    std::memcpy(units_.data(), blob.data(), bytes);
    text_bytes_ = blob.size() - bytes;
  }

  void check() {
    std::vector<bool> seen(units_.size());
    std::vector<std::uint32_t> waiting{0};
    while (!waiting.empty()) {
      const std::uint32_t at = waiting.back();
      waiting.pop_back();
      if (seen[at]) continue;
      seen[at] = true;
      const std::uint32_t base = at ^ offset(units_[at]);
      if ((base | 0xFF) >= units_.size()) refuse(path_, "a map of characters that leads outside itself");
      if (at != 0) check_leaf(units_[at], base);
      for (std::uint32_t byte = 0; byte < 256; ++byte)
        if (label(units_[base ^ byte]) == byte) waiting.push_back(base ^ byte);
    }
  }

 private:
  static std::uint32_t offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
  static std::uint32_t label(std::uint32_t unit) { return unit & ((1u << 31) | 0xFF); }

  void check_leaf(std::uint32_t unit, std::uint32_t base) const {
    const bool has_leaf = (unit >> 8 & 1) != 0;
    if (has_leaf && (units_[base] & ~(1u << 31)) >= text_bytes_)
      refuse(path_, "a map of characters that leads outside its text");
  }

  const std::string& path_;
  std::vector<std::uint32_t> units_;
  std::size_t text_bytes_ = 0;
};

void check_normalizer(std::string_view message, const std::string& path) {
  Fields fields(message, path);
  while (const auto bytes = fields.next_bytes())
    if (fields.number() == kMap && !bytes->empty()) CharactersMap(*bytes, path).check();
}

}  // namespace

void check_characters_maps(std::string_view model, const std::string& path) {
  Fields fields(model, path);
  while (const auto bytes = fields.next_bytes())
    if (fields.number() == kNormalizer || fields.number() == kDenormalizer) check_normalizer(*bytes, path);
}

}  // namespace caravan::io
