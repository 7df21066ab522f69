#include "io/hf/named_source.hpp"

namespace caravan::io {

std::vector<std::string> NamedSource::names_where(bool is_vision) const {
  std::vector<std::string> names = set_.names();
  std::erase_if(names, [&](const std::string& name) { return is_of_vision(name) != is_vision; });
  return names;
}

void NamedSource::read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                              int threads) const {
  TensorView from = set_.place(name);
  for (int axis = 0; axis < to.shape.rank(); ++axis) {
    const std::int64_t begin = origin[static_cast<std::size_t>(axis)];
    from = from.slice(axis, begin, begin + to.extent(axis));
  }
  set_.file_of(name).read_place(from, to, threads);
}

}  // namespace caravan::io
