#include "io/data/text_lines.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan::io {

std::optional<std::string_view> TextLines::next() {
  for (std::size_t searched = begin_;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) return give(end + 1);
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    CARAVAN_CHECK(buffer_.size() <= kLongestDocument, IoError,
                  fmt::format("{}:{}: a line of more than {} bytes (it is held in memory). Is it text?",
                              reader_.name(), number_ + 1, kLongestDocument));
    if (reader_.append_to(buffer_)) continue;
    if (buffer_.empty()) return std::nullopt;
    return give(buffer_.size());
  }
}

std::string_view TextLines::give(std::size_t end) {
  const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = end;
  ++number_;
  return line;
}

}  // namespace caravan::io
