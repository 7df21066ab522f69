#include "io/hf/named_source.hpp"

#include "io/files/convert.hpp"

namespace caravan::io {

void NamedSource::read_inside(const std::string& name, const Origin& origin, const TensorView& to) const {
  TensorView from = set_.view(name);
  for (int axis = 0; axis < to.shape.rank(); ++axis) {
    const std::int64_t begin = origin[static_cast<std::size_t>(axis)];
    from = from.slice(axis, begin, begin + to.extent(axis));
  }
  copy_to_f32(from, to);
}

}  // namespace caravan::io
