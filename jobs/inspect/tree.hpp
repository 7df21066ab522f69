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
  std::string attribute{};  ///< the name of a value that is written beside the object of that path
};

/// Draws names as a tree that branches at slashes and dots: type, shape and size of every tensor, number and
/// size of the tensors of a branch, attributes with an @ before their name. `depth`: levels to show, 0 for
/// all. Names come out printable.
std::string draw_tree(const std::vector<TreeLeaf>& leaves, int depth, Ink ink);

}  // namespace caravan::jobs
