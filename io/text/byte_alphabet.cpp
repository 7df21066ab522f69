#include "io/text/byte_alphabet.hpp"

#include <array>

#include "caravan/utf8.hpp"

namespace caravan::io {
namespace {

constexpr int kFirstSubstitute = 0x100;
constexpr int kNumSubstitutes = 68;

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<int, 256> code_of{};
  std::array<int, kFirstSubstitute + kNumSubstitutes> byte_of{};

  constexpr Alphabet() {
    for (int& byte : byte_of) byte = -1;
    int next = kFirstSubstitute;
    for (int byte = 0; byte < 256; ++byte) {
      const int code = stands_for_itself(byte) ? byte : next++;
      code_of[static_cast<std::size_t>(byte)] = code;
      byte_of[static_cast<std::size_t>(code)] = byte;
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    const int code = kAlphabet.code_of[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
      continue;
    }
    out.push_back(static_cast<char>(0xC0 | (code >> 6)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
  return out;
}

std::optional<std::string> unspell_bytes(std::string_view spelling) {
  std::string out;
  while (!spelling.empty()) {
    const std::string_view character = spelling.substr(0, scan_utf8(spelling).length);
    const char32_t code = decode_utf8(character);
    if (code >= kAlphabet.byte_of.size() || kAlphabet.byte_of[code] < 0) return std::nullopt;
    out.push_back(static_cast<char>(kAlphabet.byte_of[code]));
    spelling.remove_prefix(character.size());
  }
  return out;
}

}  // namespace caravan::io
