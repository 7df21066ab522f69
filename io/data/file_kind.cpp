#include "io/data/file_kind.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace caravan::io {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kTarMark = 257;

constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kMagics{{
    {"\xFF\xFE\0\0"sv, "UTF-32"},
    {"\0\0\xFE\xFF"sv, "UTF-32"},
    {"\xFF\xFE"sv, "UTF-16"},
    {"\xFE\xFF"sv, "UTF-16"},
    {"\x7F"
     "ELF"sv,
     "an executable (ELF)"},
    {"MZ"sv, "an executable (Windows)"},
    {"\x1F\x8B"sv, "gzip data"},
    {"\x28\xB5\x2F\xFD"sv, "zstd data"},
    {"BZh"sv, "bzip2 data"},
    {"\xFD"
     "7zXZ\0"sv,
     "xz data"},
    {"\x04\x22\x4D\x18"sv, "lz4 data"},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7z archive"},
    {"PK\x03\x04"sv, "a zip archive"},
    {"%PDF"sv, "a PDF"},
    {"\x89PNG"sv, "a picture (PNG)"},
    {"\xFF\xD8\xFF"sv, "a picture (JPEG)"},
    {"\x89HDF"sv, "an HDF5 file"},
    {"PAR1"sv, "a Parquet file"},
    {"ARROW1"sv, "an Arrow file"},
}};

/// Latin letters in UTF-16: NUL in every other place.
bool alternates_with_nul(std::string_view first) {
  constexpr std::size_t kPairs = 4;
  if (first.size() < 2 * kPairs) return false;
  for (const std::size_t parity : {0u, 1u}) {
    std::size_t nuls = 0, others = 0;
    for (std::size_t i = 0; i < 2 * kPairs; i += 2) {
      nuls += first[i + parity] == '\0';
      others += first[i + 1 - parity] != '\0';
    }
    if (nuls == kPairs && others == kPairs) return true;
  }
  return false;
}

}  // namespace

std::string_view kind_of_bytes(std::string_view first) {
  const auto found =
      std::ranges::find_if(kMagics, [&](const auto& magic) { return first.starts_with(magic.first); });
  if (found != kMagics.end()) return found->second;
  if (first.size() > kTarMark && first.substr(kTarMark).starts_with("ustar")) return "a tar archive";
  return alternates_with_nul(first) ? "UTF-16" : "";
}

}  // namespace caravan::io
