#include <algorithm>

#include "caravan/layer.hpp"
#include "caravan/mesh.hpp"

namespace caravan {

BatchShape BatchShape::divided_over(const Mesh* mesh) const {
  BatchShape shape = *this;
  if (!mesh) return shape;
  shape.tensor_ranks = mesh->degree(MeshAxis::tp);
  shape.tensor_rank = mesh->coordinate(MeshAxis::tp);
  const int ranks = mesh->degree(MeshAxis::cp);
  if (ranks == 1) return shape;
  shape.whole_length = length;
  for (int rank = 0; rank < ranks; ++rank)
    shape.most_length = std::max(shape.most_length, TokenMap::context(0, length, ranks, rank).length());
  shape.length = TokenMap::context(0, length, ranks, mesh->coordinate(MeshAxis::cp)).length();
  return shape;
}

BatchShape BatchShape::of_largest_rank() const {
  BatchShape shape = *this;
  shape.tensor_rank = 0;
  shape.length = std::max(length, most_length);
  return shape;
}

}  // namespace caravan
