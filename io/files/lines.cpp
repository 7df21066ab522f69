#include "io/files/lines.hpp"

#include <fmt/format.h>

#include <span>

#include "caravan/check.hpp"
#include "io/files/byte_source.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;

}  // namespace

void for_each_line(const std::string& path, std::size_t most_bytes, const TakeLine& take) {
  const auto source = open_plain_file(path);
  std::string text;
  std::uint64_t begin = 0;  // of `text` in the file
  for (std::size_t searched = 0;;) {
    const std::size_t before = text.size();
    text.resize(before + kPieceBytes);
    text.resize(before + source->read(std::as_writable_bytes(std::span(text)).subspan(before)));
    if (text.size() == before) return;
    std::size_t line = 0;
    for (std::size_t end; (end = text.find('\n', searched)) != std::string::npos; searched = line = end + 1) {
      if (!take(std::string_view(text).substr(line, end - line), begin + line)) return;
    }
    text.erase(0, line);
    begin += line;
    searched = text.size();
    CARAVAN_CHECK(text.size() <= most_bytes, IoError,
                  fmt::format("{}: a line of more than {} bytes. Is the file damaged?", path, most_bytes));
  }
}

}  // namespace caravan::io
