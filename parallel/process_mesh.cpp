#include "parallel/process_mesh.hpp"

#include "caravan/check.hpp"
#include "parallel/staged_communicator.hpp"

namespace caravan::parallel {

std::unique_ptr<Mesh> make_process_mesh(Communicator& world, MeshLayout layout, Device& device) {
  CARAVAN_EXPECT(layout.ranks() == world.size());
  const auto split = [&](MeshAxis axis, const std::vector<int>& ranks) {
    auto host = world.split(ranks.front(), layout.coordinate(world.rank(), axis), MeshAxes(axis).name());
    auto tensors = make_tensor_communicator(*host, device, lane_of(axis));
    return Mesh::Group{std::move(host), std::move(tensors)};
  };
  return std::make_unique<Mesh>(layout, world.rank(), split);
}

}  // namespace caravan::parallel
