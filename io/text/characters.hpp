#pragma once

#include <cstddef>
#include <string_view>

// Classes of characters at the borders of a text that may hold invalid UTF-8; an invalid sequence is in none.
namespace caravan::io {

/// Unicode's property White_Space, which Rust's char::is_whitespace means.
bool is_white_space(char32_t code) noexcept;

/// `text` without the white space at its end.
std::string_view without_space_at_end(std::string_view text) noexcept;
/// Bytes of white space at the beginning of `text`.
std::size_t space_at_start(std::string_view text) noexcept;

/// Whether the last or the first character belongs to words: letters, marks, decimal digits, connectors and
/// joiners, the \w of Rust's regular expressions.
bool ends_with_word(std::string_view text);
bool begins_with_word(std::string_view text);

}  // namespace caravan::io
