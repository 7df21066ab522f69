#pragma once

#include <string>
#include <vector>

#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// `walk` for a file that nobody vouches for: HDF5 1.10.8 crashes and hangs on crafted files, so it is opened
/// in a child process with limits on memory, time and files. A child that dies is an IoError "file rejected";
/// its own IoError is passed on. Call it from a process with one thread.
std::vector<Node> isolated_walk(const std::string& path);

}  // namespace caravan::io::h5
