#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "caravan/error.hpp"
#include "caravan/mesh.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using Ranks = std::vector<int>;
using caravan::testing::message_of;
using ::testing::HasSubstr;

/// Coordinates of all ranks by counting through nested loops, the definition of row-major with tp fastest.
struct Place {
  std::array<int, 5> dense;   // pp dp_replicate dp_shard cp tp
  std::array<int, 5> expert;  // pp dp_replicate efsdp ep etp
};

std::vector<std::array<int, 5>> count_through(std::array<int, 5> degrees) {
  std::vector<std::array<int, 5>> places;
  for (int a = 0; a < degrees[0]; ++a)
    for (int b = 0; b < degrees[1]; ++b)
      for (int c = 0; c < degrees[2]; ++c)
        for (int d = 0; d < degrees[3]; ++d)
          for (int e = 0; e < degrees[4]; ++e) places.push_back({a, b, c, d, e});
  return places;
}

std::vector<Place> place_all(const MeshDegrees& d) {
  const auto dense = count_through({d.pp, d.dp_replicate, d.dp_shard, d.cp, d.tp});
  const int efsdp = d.dp_shard * d.cp * d.tp / (d.ep * d.etp);
  const auto expert = count_through({d.pp, d.dp_replicate, efsdp, d.ep, d.etp});
  std::vector<Place> places;
  for (std::size_t rank = 0; rank < dense.size(); ++rank) places.push_back({dense[rank], expert[rank]});
  return places;
}

struct View {
  MeshAxis axis;
  bool expert;
  std::array<bool, 5> varies;  // which of the five coordinates differ inside a group
};

constexpr View kViews[] = {
    {MeshAxis::pp, false, {true, false, false, false, false}},
    {MeshAxis::dp_replicate, false, {false, true, false, false, false}},
    {MeshAxis::dp_shard, false, {false, false, true, false, false}},
    {MeshAxis::cp, false, {false, false, false, true, false}},
    {MeshAxis::tp, false, {false, false, false, false, true}},
    {MeshAxis::batch, false, {false, true, true, false, false}},
    {MeshAxis::fsdp, false, {false, false, true, true, false}},
    {MeshAxis::loss, false, {false, true, true, true, false}},
    {MeshAxis::efsdp, true, {false, false, true, false, false}},
    {MeshAxis::ep, true, {false, false, false, true, false}},
    {MeshAxis::etp, true, {false, false, false, false, true}},
};

Ranks expected_group(const std::vector<Place>& places, int rank, const View& view) {
  Ranks group;
  for (std::size_t other = 0; other < places.size(); ++other) {
    bool same = true;
    for (std::size_t i = 0; i < 5; ++i) {
      const Place &a = places[static_cast<std::size_t>(rank)], &b = places[other];
      same =
          same && (view.varies[i] || (view.expert ? a.expert[i] == b.expert[i] : a.dense[i] == b.dense[i]));
    }
    if (same) group.push_back(static_cast<int>(other));
  }
  return group;
}

void check_world(const MeshDegrees& degrees) {
  const auto places = place_all(degrees);
  const int ranks = static_cast<int>(places.size());
  const MeshLayout layout(degrees, ranks);
  for (const View& view : kViews) {
    for (int rank = 0; rank < ranks; ++rank) {
      const Ranks group = layout.group(rank, view.axis);
      ASSERT_EQ(group, expected_group(places, rank, view))
          << layout.describe() << " " << MeshAxes(view.axis).name();
      ASSERT_EQ(group[static_cast<std::size_t>(layout.coordinate(rank, view.axis))], rank)
          << layout.describe();
      ASSERT_EQ(static_cast<int>(group.size()), layout.degree(view.axis)) << layout.describe();
    }
  }
}

TEST(MeshLayout, GroupsOfManyWorldsFollowTheDefinition) {
  int worlds = 0;
  for (int world : {1, 2, 4, 6, 8, 12, 16, 24}) {
    for (int pp = 1; pp <= world; ++pp)
      for (int dr = 1; pp * dr <= world; ++dr)
        for (int ds = 1; pp * dr * ds <= world; ++ds)
          for (int cp = 1; pp * dr * ds * cp <= world; ++cp) {
            if (world % (pp * dr * ds * cp) != 0) continue;
            const int tp = world / (pp * dr * ds * cp);
            for (int etp : {1, tp})
              for (int ep = 1; ep * etp <= ds * cp * tp; ++ep) {
                if (ds * cp * tp % (ep * etp) != 0) continue;
                check_world({pp, dr, ds, cp, tp, ep, etp});
                ++worlds;
              }
          }
  }
  EXPECT_GT(worlds, 500);
}

/// torchtitan's llama4 test case on 8 ranks.
TEST(MeshLayout, ExpertsBorrowRanksOfFsdpAndTp) {
  const MeshLayout layout({.pp = 2, .dp_shard = 2, .tp = 2, .ep = 4, .etp = 1}, 8);
  EXPECT_EQ(layout.degree(MeshAxis::fsdp), 2);
  EXPECT_EQ(layout.degree(MeshAxis::efsdp), 1);
  EXPECT_EQ(layout.group(6, MeshAxis::ep), (Ranks{4, 5, 6, 7}));
  EXPECT_EQ(layout.group(6, MeshAxis::fsdp), (Ranks{4, 6}));
  EXPECT_EQ(layout.group(6, MeshAxis::pp), (Ranks{2, 6}));
  EXPECT_EQ(layout.coordinate(6, MeshAxis::ep), 2);
}

TEST(MeshLayout, FlattenedAxesCountSlowestFirst) {
  const MeshLayout layout({.pp = 2, .dp_replicate = 2, .dp_shard = 2, .tp = 2}, 16);
  EXPECT_EQ(layout.group(5, MeshAxis::pp | MeshAxis::tp), (Ranks{4, 5, 12, 13}));
  EXPECT_EQ(layout.coordinate(12, MeshAxis::pp | MeshAxis::tp), 2);
  EXPECT_EQ(layout.group(9, MeshAxis::dp_replicate | MeshAxis::efsdp), (Ranks{8, 9, 10, 11, 12, 13, 14, 15}));
}

TEST(MeshLayout, OneDegreeIsInferred) {
  EXPECT_EQ(MeshLayout({.pp = 2, .dp_shard = -1, .tp = 2}, 24).degrees().dp_shard, 6);
  EXPECT_EQ(MeshLayout({.pp = -1, .dp_shard = 3}, 6).degrees().pp, 2);
  EXPECT_EQ(MeshLayout({.tp = -1}, 1).degrees().tp, 1);
}

TEST(MeshLayout, DescribesTheAxesAboveOne) {
  EXPECT_EQ(MeshLayout({.pp = 2, .dp_shard = 4, .ep = 2}, 8).describe(), "pp=2 dp_shard=4 efsdp=2 ep=2");
  EXPECT_EQ(MeshLayout({}, 1).describe(), "one rank");
}

TEST(MeshLayout, NamesOfFlattenedAxes) {
  EXPECT_EQ((MeshAxis::dp_shard | MeshAxis::cp).name(), "fsdp");
  EXPECT_EQ((MeshAxis::tp | MeshAxis::pp).name(), "pp+tp");
}

std::string refusal(MeshDegrees degrees, int ranks) {
  return testing::message_of<ConfigError>([&] { MeshLayout(degrees, ranks); });
}

TEST(MeshLayoutErrors, ProductAndRanksDiffer) {
  EXPECT_EQ(refusal({.pp = 2, .dp_shard = 2, .tp = 2}, 6),
            "pipeline=2 x data_replicate=1 x data_shard=2 x context=1 x tensor=2 = 8, but the job has 6 "
            "ranks (each rank needs "
            "exactly one "
            "place). Start 8 ranks, or set one degree to -1?");
}

TEST(MeshLayoutErrors, NothingCanBeInferred) {
  EXPECT_EQ(refusal({.pp = 4, .dp_shard = -1}, 6),
            "pipeline=4 x data_replicate=1 x data_shard=-1 x context=1 x tensor=1 on 6 ranks (the degree -1 "
            "cannot be inferred: "
            "6 is no "
            "multiple of 4). Start a multiple of 4 ranks?");
}

TEST(MeshLayoutErrors, TwoDegreesAreMinusOne) {
  EXPECT_EQ(refusal({.pp = -1, .tp = -1}, 4),
            "pipeline=-1 x data_replicate=1 x data_shard=1 x context=1 x tensor=-1 (2 degrees are -1, only "
            "one can be "
            "inferred). Give the "
            "others a number?");
}

TEST(MeshLayoutErrors, ADegreeIsNoCount) {
  EXPECT_EQ(refusal({.cp = 0}, 4), "context=0 (a degree is at least 1, or -1 to be inferred)");
  EXPECT_EQ(refusal({.ep = -1}, 1), "expert=-1 (a degree is at least 1)");
}

TEST(MeshLayoutErrors, ExpertTensorParallelIsNeitherOneNorTp) {
  EXPECT_EQ(refusal({.tp = 4, .etp = 2}, 4),
            "expert_tensor=2 with tensor=4 (experts are split like the dense layers or not at all). Set it "
            "to 1 or 4?");
}

TEST(MeshLayoutErrors, ExpertGroupsDoNotTile) {
  EXPECT_EQ(refusal({.dp_shard = 4, .ep = 3}, 4),
            "expert=3 x expert_tensor=1 with data_shard=4 x context=1 x tensor=1 = 4 (expert groups must "
            "tile these "
            "ranks, and 3 does not divide 4). expert=2, or data_shard=12?");
}

TEST(MeshLayoutErrors, AProductBeyond63BitsIsCaught) {
  constexpr int big = 2'000'000'000;
  EXPECT_EQ(refusal({.pp = big, .dp_replicate = big, .dp_shard = big}, 8).substr(0, 19),
            "pipeline=2000000000");
}

TEST(MeshLayoutErrors, TwoViewsCannotBeFlattened) {
  const MeshLayout layout({}, 1);
  EXPECT_EQ(message_of([&] { layout.degree(MeshAxis::tp | MeshAxis::ep); }),
            "axes tp+ep (dp_shard, cp, tp and efsdp, ep, etp are two views of the same ranks and cannot be "
            "flattened "
            "together)");
}

}  // namespace
}  // namespace caravan
