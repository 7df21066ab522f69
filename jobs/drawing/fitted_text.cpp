#include "jobs/drawing/fitted_text.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace caravan::jobs {
namespace {

constexpr std::string_view kCut = "…";

/// Widths of the characters from the space to ~ in 2048ths of the size. Source: DejaVu Sans 2.37, table hmtx.
constexpr std::array<std::uint16_t, 95> kWidths = {
    651,  821,  942,  1716, 1303, 1946, 1597, 563,  799,  799,  1024, 1716, 651,  739,  651,  690,
    1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 690,  690,  1716, 1716, 1716, 1087,
    2048, 1401, 1405, 1430, 1577, 1294, 1178, 1587, 1540, 604,  604,  1343, 1141, 1767, 1532, 1612,
    1235, 1612, 1423, 1300, 1251, 1499, 1401, 2025, 1403, 1251, 1403, 799,  690,  799,  1716, 1024,
    1024, 1255, 1300, 1126, 1300, 1260, 721,  1300, 1298, 569,  569,  1186, 569,  1995, 1298, 1253,
    1300, 1300, 842,  1067, 803,  1298, 1212, 1675, 1212, 1212, 1075, 1303, 690,  1303, 1716};
constexpr double kUnits = 2048;

double width_of_character(std::string_view character, double size) {
  const auto byte = static_cast<unsigned char>(character.front());
  if (byte < ' ' || byte > '~') return size;  // a square, as those of Chinese are
  return kWidths[byte - static_cast<unsigned char>(' ')] / kUnits * size;
}

/// UTF-8 in single characters; a byte that belongs to none is one by itself.
std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    characters.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return characters;
}

}  // namespace

double text_width(std::string_view text, double size) {
  double width = 0;
  for (const std::string_view character : characters_of(text)) width += width_of_character(character, size);
  return width;
}

std::string fitted(const std::string& text, double size, double room) {
  if (text_width(text, size) <= room) return text;
  const std::vector<std::string_view> characters = characters_of(text);
  double left = room - width_of_character(kCut, size);
  std::string head, tail;
  // From both ends in turn, so that the cut is in the middle.
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const bool is_head = i % 2 == 0;
    const std::string_view next = is_head ? characters[i / 2] : characters[characters.size() - 1 - i / 2];
    left -= width_of_character(next, size);
    if (left < 0) break;
    is_head ? head.append(next) : tail.insert(0, next);
  }
  return head + std::string(kCut) + tail;
}

}  // namespace caravan::jobs
