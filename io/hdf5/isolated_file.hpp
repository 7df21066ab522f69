#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/files/isolated_child.hpp"
#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// An HDF5 file that nobody vouches for. HDF5 1.10.8 crashes and hangs on crafted files, so it runs in a
/// sandboxed child process on an image of the file: it can open no other file, whatever links and external
/// storage say. A child that dies is an IoError "file rejected"; its own IoError is passed on.
class IsolatedFile {
 public:
  /// Reads the list of objects. Make it in a process with one thread.
  explicit IsolatedFile(const std::string& path);

  /// What `walk` gives.
  const std::vector<Node>& nodes() const noexcept { return nodes_; }
  /// The block of a node with a dtype at `origin`, of `to`'s shape; contiguous host memory of that dtype.
  void read(const std::string& name, const std::array<std::int64_t, Shape::kMaxRank>& origin,
            const TensorView& to) const;

 private:
  IsolatedChild child_;
  std::vector<Node> nodes_;
};

}  // namespace caravan::io::h5
