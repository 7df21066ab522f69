#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/data/text_reader.hpp"

namespace caravan::io {

/// No document and no line is longer: they are held in memory.
inline constexpr std::size_t kLongestDocument = std::size_t{1} << 30;

/// The lines of a text one after the other. Borrows the reader.
class TextLines {
 public:
  explicit TextLines(TextReader& reader) : reader_(reader) {}

  /// The next line with its break, valid until the next call; nothing at the end. IoError for a line that is
  /// longer than kLongestDocument.
  std::optional<std::string_view> next();
  /// Of the line that was given last; the first is 1.
  std::int64_t number() const noexcept { return number_; }

 private:
  std::string_view give(std::size_t end);

  TextReader& reader_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what was not given yet
  std::int64_t number_ = 0;
};

}  // namespace caravan::io
