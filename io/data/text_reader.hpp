#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "io/files/byte_source.hpp"

namespace caravan::io {

/// What a file of text may hold: UTF-8 without NUL, or any bytes.
enum class Content { text, binary };

/// What was changed in texts while they were read, to be said when all are read.
struct TextRepairs {
  std::int64_t byte_order_marks = 0;  ///< left out at the front of files
  std::int64_t surrogates = 0;        ///< halves of UTF-16 pairs, each now one U+FFFD
  std::string first_surrogate;        ///< where
};

/// Reads a text from the front to the end, compressed or not. A byte order mark in front is left out and half
/// a surrogate pair becomes U+FFFD; anything else that is no text is an IoError with its place, so that
/// executables and UTF-16 never become training data. With Content::binary bytes come as they are.
class TextReader {
 public:
  /// `path`: as for open_bytes. `repairs` is added to, and must outlive this.
  TextReader(const std::string& path, Content content, TextRepairs& repairs);

  /// What messages call the text.
  const std::string& name() const noexcept { return name_; }
  /// Adds the next piece of a few hundred KiB, whole characters, to `text`; false at the end.
  bool append_to(std::string& text);

 private:
  bool fill();
  void append_checked(std::string_view piece, std::string& text);
  std::size_t repair(std::string_view rest, std::string& text);
  [[noreturn]] void refuse(std::string_view rest) const;

  std::string name_;
  Content content_;
  TextRepairs& repairs_;
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;       // what is not given yet: at most the front of one character between two calls
  std::string head_;         // first bytes of the file, which tell what it looks like
  std::uint64_t given_ = 0;  // bytes before the buffer's
  bool is_at_end_ = false;
};

}  // namespace caravan::io
