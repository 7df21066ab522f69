#include "io/hdf5/foreign_block.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include "io/hdf5/foreign_type.hpp"
#include "io/hdf5/space.hpp"

namespace caravan::io::h5 {

const ForeignBlocks::Open& ForeignBlocks::open(const std::string& name) {
  if (open_ && open_->name == name) return *open_;
  Handle dataset(checked(H5Dopen2(file_.id(), name.c_str(), H5P_DEFAULT), "open dataset", name), H5Dclose);
  const Handle type(checked(H5Dget_type(dataset), "read the type of", name), H5Tclose);
  Handle space(checked(H5Dget_space(dataset), "read the shape of", name), H5Sclose);
  const auto element = readable_as(type);
  CARAVAN_CHECK(element, IoError, fmt::format("dataset {} holds {} (no numbers)", name, type_text(type)));
  CARAVAN_CHECK(H5Sget_simple_extent_type(space) != H5S_NULL, IoError,
                fmt::format("dataset {} has a null dataspace (it holds no elements)", name));
  Handle memory = memory_type(type, *element);
  const Shape shape = shape_of(space, name);
  open_.emplace(Open{name, std::move(dataset), std::move(space), std::move(memory), *element, shape});
  return *open_;
}

std::string ForeignBlocks::read(const std::string& name, const Origin& origin, const Shape& extents) {
  const Guard guard;
  const Open& from = open(name);
  select_block(from.space, {origin, extents, from.shape, name});
  std::string block(static_cast<std::size_t>(extents.count()) * size_of(from.element), '\0');
  if (block.empty()) return block;
  check(H5Dread(from.dataset, from.memory, space_of(extents), from.space, H5P_DEFAULT, block.data()),
        "read dataset", name);
  return block;
}

}  // namespace caravan::io::h5
