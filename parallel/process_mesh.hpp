#pragma once

#include <map>
#include <memory>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "parallel/mesh_layout.hpp"

namespace caravan::parallel {

/// This rank's place in the mesh, and its groups. The only owner of communicators besides the world's.
class ProcessMesh {
 public:
  /// Borrows `world`, which must outlive this. ConfigError when the degrees do not fit its size; nothing is
  /// allocated then.
  ProcessMesh(Communicator& world, const MeshDegrees& degrees);

  const MeshLayout& layout() const noexcept { return layout_; }
  Communicator& world() noexcept { return world_; }
  int degree(MeshAxes axes) const { return layout_.degree(axes); }
  int coordinate(MeshAxes axes) const { return layout_.coordinate(world_.rank(), axes); }
  /// [collective over the world at the first call for these axes] The ranks that differ from this one on
  /// `axes` only. Owned by the mesh. A group of one rank is made without communication.
  Communicator& communicator(MeshAxes axes);
  /// [the same] What moves tensors in the memory of `device` among these ranks; the same device every
  /// time, borrowed.
  Communicator& tensor_communicator(MeshAxes axes, Device& device);

 private:
  Communicator& world_;
  MeshLayout layout_;
  std::map<std::uint8_t, std::unique_ptr<Communicator>> groups_;
  std::map<std::uint8_t, std::unique_ptr<Communicator>> tensor_groups_;  ///< null: the group itself
};

}  // namespace caravan::parallel
