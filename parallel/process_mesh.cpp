#include "parallel/process_mesh.hpp"

#include "parallel/staged_communicator.hpp"

namespace caravan::parallel {

ProcessMesh::ProcessMesh(Communicator& world, const MeshDegrees& degrees)
    : world_(world), layout_(degrees, world.size()) {}

Communicator& ProcessMesh::communicator(MeshAxes axes) {
  auto& group = groups_[axes.mask()];
  if (group) return *group;
  if (layout_.degree(axes) == 1) {
    group = make_single_communicator(axes.name());
  } else {
    const int lowest_rank = layout_.group(world_.rank(), axes).front();
    group = world_.split(lowest_rank, coordinate(axes), axes.name());
  }
  return *group;
}

Communicator& ProcessMesh::tensor_communicator(MeshAxes axes, Device& device) {
  Communicator& host = communicator(axes);
  const auto [found, is_new] = tensor_groups_.try_emplace(axes.mask());
  if (is_new) found->second = make_tensor_communicator(host, device);
  return found->second ? *found->second : host;
}

}  // namespace caravan::parallel
