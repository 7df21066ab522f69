#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/data/text_reader.hpp"

namespace caravan::io {

/// Reads the strings under `field` of a file with one JSON object a line. Escapes of half a surrogate pair
/// (\ud83d alone) become U+FFFD.
class JsonLines {
 public:
  /// `nul`: Content::text refuses a string with NUL in it. Borrows all of them.
  JsonLines(TextReader& reader, const std::string& field, Content nul, TextRepairs& repairs);
  ~JsonLines();
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  /// Calls `take` with every string that is not empty. IoError with file and line for a line that is not an
  /// object with the field.
  void read(const std::function<void(std::string_view)>& take);

 private:
  struct Parser;
  std::string_view string_of(std::string_view line, std::int64_t number);

  TextReader& reader_;
  const std::string& field_;
  Content nul_;
  TextRepairs& repairs_;
  std::string repaired_;  // the line whose surrogates were replaced
  std::unique_ptr<Parser> parser_;
};

/// How many escapes in a line of JSON are half a surrogate pair; writes the line with \ufffd in their places
/// to `repaired` when there are any.
std::int64_t replace_lone_surrogates(std::string_view line, std::string& repaired);

}  // namespace caravan::io
