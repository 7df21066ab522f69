#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

Shape TensorEntry::shape() const {
  Shape shape;
  for (const std::uint64_t extent : extents) shape.append(static_cast<std::int64_t>(extent));
  return shape;
}

}  // namespace caravan::jobs
