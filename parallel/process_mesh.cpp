#include "parallel/process_mesh.hpp"

#include "caravan/check.hpp"
#include "parallel/staged_communicator.hpp"

namespace caravan::parallel {

std::unique_ptr<Mesh> make_process_mesh(Communicator& world, MeshLayout layout, Device& device) {
  CARAVAN_EXPECT(layout.ranks() == world.size());
  const auto split = [&](MeshAxes axes, const std::vector<int>& ranks) {
    auto host = world.split(ranks.front(), layout.coordinate(world.rank(), axes), axes.name());
    auto tensors = make_tensor_communicator(*host, device);
    return Mesh::Group{std::move(host), std::move(tensors)};
  };
  return std::make_unique<Mesh>(layout, world.rank(), split);
}

}  // namespace caravan::parallel
