#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "caravan/tensor.hpp"
#include "io/files/isolated_child.hpp"
#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// An HDF5 file that nobody vouches for. HDF5 1.10.8 crashes and hangs on crafted files, so it runs in a
/// sandboxed child process on an image of the file: it can open no other file, whatever links and external
/// storage say. A child that dies is an IoError "file rejected"; its own IoError is passed on. Processor time
/// is limited for every thousand objects and for every block, not for the file.
class IsolatedFile {
 public:
  /// Reads the list of objects. Make it in a process with one thread.
  explicit IsolatedFile(const std::string& path);

  /// What `walk` gives.
  const std::vector<Node>& nodes() const noexcept { return nodes_; }
  /// The block of `node`, whose elements can be read, at `origin` of the shape `extents`, to `to`, which has
  /// its bytes.
  void read(const Node& node, const Origin& origin, const Shape& extents, std::span<std::byte> to) const;

 private:
  void list(const std::string& path);

  IsolatedChild child_;
  std::vector<Node> nodes_;
};

}  // namespace caravan::io::h5
