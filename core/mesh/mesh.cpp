#include "caravan/mesh.hpp"

#include "core/mesh/paper_world.hpp"

namespace caravan {
namespace {

/// In the order in which they are made. Names of several axes come first: a group that has two names is
/// called by the wider one.
constexpr std::array kGroups = {MeshAxis::batch, MeshAxis::fsdp,     MeshAxis::loss,         MeshAxis::rows,
                                MeshAxis::pp,    MeshAxis::dp_shard, MeshAxis::dp_replicate, MeshAxis::cp,
                                MeshAxis::tp,    MeshAxis::efsdp,    MeshAxis::ep,           MeshAxis::etp};

Mesh::Group alone(MeshAxes axes) {
  return {make_single_communicator(axes.name()), nullptr};
}

}  // namespace

Lane lane_of(MeshAxis axis) {
  switch (axis) {
    case MeshAxis::pp:
      return Lane::pipeline;
    case MeshAxis::ep:
    case MeshAxis::etp:
      return Lane::expert;
    case MeshAxis::cp:
    case MeshAxis::tp:
      return Lane::tensor;
    default:
      return Lane::shard;
  }
}

Mesh::Mesh(MeshLayout layout, int rank, const MakeGroup& make) : layout_(std::move(layout)), rank_(rank) {
  for (const MeshAxis axis : kGroups) {
    const auto [place, is_new] = groups_.try_emplace({layout_.divided(axis).mask(), lane_of(axis)});
    if (!is_new) continue;
    const std::vector<int> ranks = layout_.group(rank_, axis);
    place->second = ranks.size() == 1 ? alone(axis) : make(axis, ranks);
  }
}

/// The last first, and all before the groups.
Mesh::~Mesh() {
  while (!kept_.empty()) kept_.pop_back();
}

RankGroup Mesh::group(MeshAxis axis) {
  Group& group = groups_.at({layout_.divided(axis).mask(), lane_of(axis)});
  return {*group.host, group.tensors ? *group.tensors : *group.host};
}

std::unique_ptr<Mesh> make_paper_mesh(MeshLayout layout, int rank, PaperExchanges exchanges) {
  const auto on_paper = [&](MeshAxis axes, const std::vector<int>& ranks) {
    return Mesh::Group{std::make_unique<PaperWorld>(layout.coordinate(rank, axes),
                                                    static_cast<int>(ranks.size()), exchanges),
                       nullptr};
  };
  return std::make_unique<Mesh>(layout, rank, on_paper);
}

}  // namespace caravan
