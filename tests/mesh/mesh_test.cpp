#include "caravan/mesh.hpp"

#include <gmock/gmock.h>

#include "core/mesh/paper_world.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using caravan::testing::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PaperMesh, KnowsItsPlaceAndNobody) {
  const auto mesh = make_paper_mesh(MeshLayout({.pp = 2, .dp_replicate = -1}, 8), 5);

  EXPECT_EQ(mesh->coordinate(MeshAxis::pp), 1);
  EXPECT_EQ(mesh->group(MeshAxis::batch).host.rank(), 1);
  EXPECT_EQ(mesh->group(MeshAxis::batch).host.size(), 4);
  EXPECT_EQ(mesh->group(MeshAxis::tp).host.size(), 1);
  EXPECT_THAT(message_of<CommError>([&] { mesh->group(MeshAxis::pp).host.barrier(); }),
              HasSubstr("barrier on rank 1 of 2 ranks that are not running"));
}

TEST(PaperWorld, RefusesWhatNeedsAnotherRank) {
  PaperWorld world(5, 8);
  EXPECT_THAT(message_of<CommError>([&] { world.split(0, 0, ""); }), HasSubstr("split on rank 5 of 8 ranks"));
  EXPECT_THAT(message_of([&] { world.broadcast({}, 0); }), HasSubstr("broadcast on rank 5"));
  EXPECT_EQ(message_of<ConfigError>([] { PaperWorld(8, 8); }), "rank 8 of 8 ranks (must be from 0 to 7)");
}

TEST(Mesh, MakesEachGroupOnceInOneOrderOnEveryRank) {
  const MeshLayout layout({.pp = 2, .dp_shard = 2, .tp = 2, .ep = 4}, 8);
  std::vector<std::string> first;
  for (int rank = 0; rank < layout.ranks(); ++rank) {
    std::vector<std::string> made;
    Mesh mesh(layout, rank, [&](MeshAxis axis, const std::vector<int>& ranks) {
      EXPECT_EQ(ranks, layout.group(rank, axis));
      made.push_back(MeshAxes(axis).name());
      return Mesh::Group{std::make_unique<PaperWorld>(0, static_cast<int>(ranks.size())), nullptr};
    });
    if (rank == 0) first = made;
    EXPECT_EQ(made, first) << rank;
    EXPECT_EQ(&mesh.group(MeshAxis::fsdp).host, &mesh.group(MeshAxis::dp_shard).host);
  }
  EXPECT_THAT(first, ElementsAre("batch", "rows", "pp", "tp", "ep"));
}

TEST(Mesh, KeepsGroupsOfOtherLanesApartWhereTheyAreOfTheSameRanks) {
  const auto mesh = make_paper_mesh(MeshLayout({.cp = 2}, 2), 0);
  EXPECT_NE(&mesh->group(MeshAxis::cp).host, &mesh->group(MeshAxis::fsdp).host);
}

}  // namespace
}  // namespace caravan
