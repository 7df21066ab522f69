#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/device/reference_device.hpp"
#include "parallel/process_mesh.hpp"
#include "parallel/world.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::parallel {
namespace {

using ::testing::HasSubstr;

constexpr MeshAxis kAxes[] = {MeshAxis::pp,    MeshAxis::dp_replicate, MeshAxis::dp_shard, MeshAxis::cp,
                              MeshAxis::tp,    MeshAxis::efsdp,        MeshAxis::ep,       MeshAxis::etp,
                              MeshAxis::batch, MeshAxis::fsdp,         MeshAxis::loss};

class ProcessMeshTest : public ::testing::Test {
 protected:
  std::unique_ptr<Mesh> mesh(const MeshDegrees& degrees) {
    return make_process_mesh(*world, MeshLayout(degrees, world->size()), device);
  }
  ReferenceDevice device{Host{}, Config::map()};
  std::unique_ptr<Communicator> world = make_world_communicator();
};

/// The world ranks in the group of `axis`, found out by talking.
std::vector<int> members(Mesh& mesh, MeshAxis axis) {
  Communicator& group = mesh.group(axis).host;
  std::vector<int> ranks(static_cast<std::size_t>(group.size()));
  int mine = mesh.rank();
  group.all_gather(TensorView(&mine, DType::i32, {1}), TensorView(ranks.data(), DType::i32, {group.size()}));
  return ranks;
}

TEST_F(ProcessMeshTest, EveryGroupHoldsTheRanksOfTheLayout) {
  const int size = world->size(), rank = world->rank();
  for (int pp = 1; pp <= size; ++pp) {
    for (int tp = 1; pp * tp <= size; ++tp) {
      if (size % (pp * tp) != 0) continue;
      const auto mesh = this->mesh({.pp = pp, .dp_shard = -1, .tp = tp, .ep = size / (pp * tp)});
      for (MeshAxis axis : kAxes) {
        EXPECT_EQ(members(*mesh, axis), mesh->layout().group(rank, axis))
            << MeshAxes(axis).name() << " pp=" << pp;
        EXPECT_EQ(mesh->group(axis).host.rank(), mesh->coordinate(axis))
            << MeshAxes(axis).name() << " tp=" << tp;
      }
    }
  }
}

TEST_F(ProcessMeshTest, AxesThatHoldTheSameRanksAreOneGroup) {
  const auto mesh = this->mesh({.dp_replicate = -1});
  Communicator& batch = mesh->group(MeshAxis::batch).host;
  EXPECT_EQ(&batch, &mesh->group(MeshAxis::dp_replicate).host);
  EXPECT_EQ(&batch, &mesh->group(MeshAxis::loss).host);
  EXPECT_EQ(batch.name(), world->size() > 1 ? "batch" : batch.name());
}

TEST_F(ProcessMeshTest, AnAxisOfOneRankIsASingleGroup) {
  const auto mesh = this->mesh({.pp = -1});
  float value = 1.0f;
  EXPECT_EQ(mesh->group(MeshAxis::tp).host.size(), 1);
  EXPECT_FALSE(mesh->group(MeshAxis::tp)
                   .tensors.post_all_reduce(TensorView(&value, DType::f32, {1}), ReduceOp::sum)
                   .pending());
}

TEST_F(ProcessMeshTest, DegreesThatDoNotFitTheWorldAreRefused) {
  EXPECT_THAT(testing::message_of<ConfigError>([&] { mesh({.tp = 64}); }),
              HasSubstr("but the job has " + std::to_string(world->size()) + " rank"));
}

}  // namespace
}  // namespace caravan::parallel
