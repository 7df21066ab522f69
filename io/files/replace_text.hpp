#pragma once

#include <string>
#include <string_view>

namespace caravan::io {

/// Replaces a small file as a whole: a reader sees the former text or the new one. Not synchronised: for what
/// need not survive a power cut. IoError when the disk refuses; the former text stays then.
void replace_text(const std::string& path, std::string_view text);

}  // namespace caravan::io
