#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace caravan::io {

/// GPT-2's spelling of bytes as printable characters: printable Latin-1 stands for itself, the other 68 bytes
/// are U+0100… in order, so that a vocabulary of byte strings fits into JSON.
std::string spell_bytes(std::string_view bytes);

/// The bytes that `spelling` (valid UTF-8) stands for; nothing when one of its characters is not of that
/// alphabet.
std::optional<std::string> unspell_bytes(std::string_view spelling);

}  // namespace caravan::io
