#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caravan {

/// Plain decimal only: -?(0|[1-9][0-9]*), within 64 bits. YAML 1.1 would read 010 as 8 and 1_000 as 1000.
std::optional<std::int64_t> parse_int(std::string_view text);

/// Finite decimal with optional fraction and exponent; no leading zeros, hexadecimals, infinities or NaN.
std::optional<double> parse_float(std::string_view text);

/// "true" or "false".
std::optional<bool> parse_bool(std::string_view text);

/// What YAML reads as nothing: "", "~", "null", "Null", "NULL".
bool is_null_word(std::string_view text);

bool is_utf8(std::string_view text);

/// The text in single quotes for a message: at most 60 bytes, printable.
std::string shown(std::string_view text);

}  // namespace caravan
