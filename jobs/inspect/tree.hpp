#pragma once

#include <string>
#include <vector>

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// A leaf of the tree: a tensor, or a value (then without a tensor).
struct TreeLeaf {
  std::string path;
  const TensorEntry* tensor = nullptr;
  std::string value;
};

/// Draws names as a tree that branches at slashes and dots: type, shape and size of every tensor, number and
/// size of the tensors of a branch. `depth`: levels to show, 0 for all. Names come out printable.
std::string draw_tree(const std::vector<TreeLeaf>& leaves, int depth, Ink ink);

}  // namespace caravan::jobs
