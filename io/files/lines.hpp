#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace caravan::io {

/// A line without its break, and where it begins in its file. False: no more lines are wanted.
using TakeLine = std::function<bool(std::string_view line, std::uint64_t begin)>;

/// Gives the lines of a file to `take` in order; the last only when its break is there. The file is read in
/// pieces and may grow or be cut meanwhile. IoError when it cannot be read, or for a line of more than
/// `most_bytes`.
void for_each_line(const std::string& path, std::size_t most_bytes, const TakeLine& take);

}  // namespace caravan::io
