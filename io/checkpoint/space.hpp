#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/checkpoint/piece.hpp"

namespace caravan::io {

/// At most what a file of these pieces takes, HDF5's own records included.
std::uint64_t space_for(const std::vector<Piece>& pieces);

/// IoError when the file system of `folder` has not `bytes` free. `what` needs them there.
void check_space(const std::string& folder, std::uint64_t bytes, std::string_view what = "a checkpoint");

/// Takes the blocks now without changing the file's size; cutting the closed file at its own end gives back
/// what is left over. Nothing where the file system cannot.
void reserve_blocks(const std::string& path, std::uint64_t bytes);

}  // namespace caravan::io
