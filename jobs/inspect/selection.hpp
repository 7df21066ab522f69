#pragma once

#include <string>
#include <vector>

#include "jobs/inspect/box.hpp"

namespace caravan::jobs {

/// The elements of a tensor that a user asked for, as in "norm.weight[0:4]".
struct Selection {
  const TensorEntry* tensor = nullptr;
  Box box;
  std::vector<std::uint64_t> shown;  ///< the box's extents without the axes that one index chose
};

/// `text`: a name, maybe with "[0:4,:]" as in numpy, without steps: begin:end, a single index, negative from
/// the end; axes that are not named are whole. ConfigError when there is no such tensor or part.
Selection parse_selection(const std::string& text, const std::vector<TensorEntry>& tensors);

}  // namespace caravan::jobs
