#pragma once

#include <string>
#include <string_view>

namespace caravan::io {

/// Follows every path of the double array in the precompiled map of characters of a serialised SentencePiece
/// model: the library walks it without looking where it goes. IoError naming `path` when a path leaves the
/// map.
void check_characters_maps(std::string_view model, const std::string& path);

}  // namespace caravan::io
