#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  std::unique_ptr<Communicator> world = make_world_communicator();
};

/// The world ranks in the group of `axes`, found out by talking.
std::vector<int> members(ProcessMesh& mesh, MeshAxes axes) {
  Communicator& group = mesh.communicator(axes);
  std::vector<int> ranks(static_cast<std::size_t>(group.size()));
  int mine = mesh.world().rank();
  group.all_gather(TensorView(&mine, DType::i32, {1}), TensorView(ranks.data(), DType::i32, {group.size()}));
  return ranks;
}

TEST_F(ProcessMeshTest, EveryGroupHoldsTheRanksOfTheLayout) {
  const int size = world->size(), rank = world->rank();
  for (int pp = 1; pp <= size; ++pp) {
    for (int tp = 1; pp * tp <= size; ++tp) {
      if (size % (pp * tp) != 0) continue;
      ProcessMesh mesh(*world, {.pp = pp, .dp_shard = -1, .tp = tp, .ep = size / (pp * tp)});
      for (MeshAxis axis : kAxes) {
        EXPECT_EQ(members(mesh, axis), mesh.layout().group(rank, axis))
            << MeshAxes(axis).name() << " pp=" << pp;
        EXPECT_EQ(mesh.communicator(axis).rank(), mesh.coordinate(axis))
            << MeshAxes(axis).name() << " tp=" << tp;
      }
    }
  }
}

TEST_F(ProcessMeshTest, FlattenedAxesMakeOneGroup) {
  ProcessMesh mesh(*world, {.dp_shard = -1});
  const auto everyone = members(mesh, MeshAxis::pp | MeshAxis::loss | MeshAxis::tp);
  ASSERT_EQ(static_cast<int>(everyone.size()), world->size());
  for (int rank = 0; rank < world->size(); ++rank) EXPECT_EQ(everyone[static_cast<std::size_t>(rank)], rank);
}

TEST_F(ProcessMeshTest, AGroupIsMadeOnce) {
  ProcessMesh mesh(*world, {.dp_replicate = -1});
  EXPECT_EQ(&mesh.communicator(MeshAxis::batch),
            &mesh.communicator(MeshAxis::dp_replicate | MeshAxis::dp_shard));
  EXPECT_EQ(mesh.communicator(MeshAxis::loss).name(), "loss");
}

TEST_F(ProcessMeshTest, AnAxisOfOneRankIsASingleGroup) {
  ProcessMesh mesh(*world, {.pp = -1});
  float value = 1.0f;
  EXPECT_EQ(mesh.communicator(MeshAxis::tp).size(), 1);
  EXPECT_FALSE(mesh.communicator(MeshAxis::tp)
                   .post_all_reduce(TensorView(&value, DType::f32, {1}), ReduceOp::sum)
                   .pending());
}

TEST_F(ProcessMeshTest, DegreesThatDoNotFitTheWorldAreRefused) {
  EXPECT_THAT(testing::message_of<ConfigError>([&] { ProcessMesh(*world, {.tp = 64}); }),
              HasSubstr("but the job has " + std::to_string(world->size()) + " rank"));
}

}  // namespace
}  // namespace caravan::parallel
