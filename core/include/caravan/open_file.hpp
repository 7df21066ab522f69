#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace caravan {

/// The one way to open a file that somebody else may have put there: gives a descriptor that the caller
/// closes. `flags` and `mode` as for open(2). Never waits, and takes regular files only (with O_DIRECTORY
/// folders): a FIFO, a socket or a device could hold the program for ever. Where the flags allow writing, a
/// symbolic link in the last place is refused: its target is not ours to write. Closed on exec. IoError
/// says what stands there.
int open_file(const std::string& path, int flags, unsigned mode = 0644);

/// "a FIFO", "a folder", …: what stands at `mode` of stat(2).
std::string_view kind_of_file(unsigned mode);

/// Gives the file's bytes to `use`, in order and piece by piece, to its end. IoError as for `open_file`.
void read_pieces(const std::string& path, const std::function<void(std::string_view)>& use);

/// All bytes of a file. IoError as for `open_file`, and when it holds more than `most`.
std::string read_file(const std::string& path, std::uint64_t most);

}  // namespace caravan
