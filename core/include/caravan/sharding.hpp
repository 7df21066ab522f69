#pragma once

#include <cstdint>
#include <vector>

#include "caravan/box.hpp"
#include "caravan/mesh.hpp"

namespace caravan {

/// A division of a parameter along an axis that kernels see. Along the part axis each part is cut by itself.
struct Cut {
  int axis = 0;
  MeshAxes by;
};

/// How a parameter may be divided among ranks. A layer declares global shapes and this, nothing else.
struct Sharding {
  std::vector<Cut> cuts{};  ///< of different axes
};

/// Elements [begin, end) of an axis.
struct AxisRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

/// What the rank at `coordinate` of `degree` has of an axis: ranges in the order of coordinates, the first
/// `extent` mod `degree` of them one longer than the others.
AxisRange share_of_axis(std::int64_t extent, int degree, int coordinate);

}  // namespace caravan
