#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "caravan/tensor_rows.hpp"
#include "core/run/walk.hpp"
#include "tests/run/tiny_model.hpp"

// Where tensor ranks overlap, products of a rank's own rows stand in a walk between the post of a gather and
// the first visit that waits for it; on context ranks so do queries behind the post of keys.
namespace caravan::testing {
namespace {

using What = Visit::What;

MeshLayout two_ranks(bool overlap, bool cuts_experts = false) {
  return MeshLayout({.tp = 2, .etp = cuts_experts ? 2 : 1, .async_tp = overlap}, 2);
}

struct Case {
  std::string name;
  std::vector<std::string> assignments;
  bool cuts_experts = false;
  int blocks = 8;  ///< with gathered rows; the model has four layers
};

class OwnRows : public ::testing::TestWithParam<Case> {
 protected:
  std::vector<Layer*> layers(bool overlap = true) {
    mesh_ = make_paper_mesh(two_ranks(overlap, GetParam().cuts_experts), 0);
    model_.emplace(tiny::config(GetParam().assignments), ModelSetup{.mesh = mesh_.get()});
    return model_->stage().layers();
  }

  std::unique_ptr<Mesh> mesh_;
  std::optional<TestModel> model_;
};

INSTANTIATE_TEST_SUITE_P(Models, OwnRows,
                         ::testing::Values(Case{"whole_experts", {}}, Case{"cut_experts", {}, true},
                                           Case{"gelu", {"dense=gelu"}},
                                           Case{"no_shared_expert", {"shared_experts=0"}, false, 6},
                                           Case{"cut_without_shared", {"shared_experts=0"}, true, 6}),
                         [](const auto& test) { return test.param.name; });

bool makes_own_rows(const Visit& visit) {
  return visit.segment->name() == "own rows" && visit.what != What::backward_weight;
}

bool moves_rows(const Visit& visit) {
  return visit.segment->lane() == Lane::tensor && visit.what != What::backward_weight;
}

/// The first visit that waits for what visit `post` has posted.
std::size_t first_waiting(const Walk& walk, std::size_t post) {
  const auto waits = [&](const Visit& visit) {
    return std::find(visit.waits_for.begin(), visit.waits_for.end(), post) != visit.waits_for.end();
  };
  return static_cast<std::size_t>(std::find_if(walk.begin(), walk.end(), waits) - walk.begin());
}

/// Which follow a gather of their own layer, and that nobody before them waits for.
int overlapped(const Walk& walk) {
  int found = 0;
  std::size_t post = walk.size();
  for (std::size_t at = 0; at < walk.size(); ++at) {
    if (moves_rows(walk[at])) post = at;
    if (!makes_own_rows(walk[at])) continue;
    EXPECT_TRUE(walk[at].waits_for.empty()) << "visit " << at;
    EXPECT_EQ(walk[post].layer, walk[at].layer) << "visit " << at;
    EXPECT_EQ(walk[post].what, walk[at].what) << "visit " << at;
    EXPECT_GT(first_waiting(walk, post), at);
    EXPECT_EQ(walk[first_waiting(walk, post)].layer, walk[at].layer) << "visit " << at;
    ++found;
  }
  return found;
}

TEST_P(OwnRows, are_made_while_others_are_gathered) {
  const std::vector<Layer*> all = layers();
  EXPECT_EQ(overlapped(forward_walk(all)), GetParam().blocks);
  EXPECT_EQ(overlapped(backward_walk(all)), GetParam().blocks);
  EXPECT_EQ(overlapped(backward_input_walk(all)), GetParam().blocks);
  const RecomputePlan repeats(all.size(), LayerRecompute{true, true, {}});
  EXPECT_EQ(overlapped(backward_walk(all, repeats)), 2 * GetParam().blocks);
}

/// Own rows, and weight gradients where there is no weight.
bool is_left_out(const Visit& visit) {
  const bool is_weight = visit.what == What::backward_weight;
  const bool has_none = visit.segment->lane() != Lane::compute || visit.segment->name() == "merge";
  return visit.segment->name() == "own rows" || (is_weight && has_none);
}

/// "layer segment what" of each other visit, and of the visits that it waits for.
std::vector<std::string> order_of(const Walk& walk) {
  const auto text_of = [&](const Visit& visit) {
    return std::to_string(visit.layer) + " " + std::string(visit.segment->name()) + " " +
           std::to_string(static_cast<int>(visit.what));
  };
  std::vector<std::string> order;
  for (const Visit& visit : walk) {
    if (is_left_out(visit)) continue;
    order.push_back(text_of(visit));
    for (const std::size_t post : visit.waits_for) order.back() += ", after " + text_of(walk[post]);
  }
  return order;
}

TEST_P(OwnRows, change_nothing_else_of_a_walk) {
  const std::vector<Layer*> overlapping = layers();
  const auto forward = order_of(forward_walk(overlapping)), backward = order_of(backward_walk(overlapping));
  const std::vector<Layer*> waiting = layers(false);
  EXPECT_EQ(order_of(forward_walk(waiting)), forward);
  EXPECT_EQ(order_of(backward_walk(waiting)), backward);
  EXPECT_EQ(forward_walk(waiting).size(), forward.size()) << "no rows of its own";
}

void expect_early(const BatchShape& shape, bool overlap, RowRange expected) {
  const auto mesh = make_paper_mesh(two_ranks(overlap), shape.tensor_rank % 2);
  const TensorRows rows(Host{.mesh = mesh.get()});
  const RowRange early = rows.early(shape);
  const auto [before, behind] = rows.late(shape);
  EXPECT_EQ(early.begin, expected.begin);
  EXPECT_EQ(early.end, expected.end);
  EXPECT_EQ(before.begin, 0);
  EXPECT_EQ(before.end, early.begin);
  EXPECT_EQ(behind.begin, early.end);
  EXPECT_EQ(behind.end, shape.tokens());
}

TEST(EarlyRows, and_late_ones_are_all) {
  const BatchShape shape{.length = 37, .tensor_ranks = 4};
  const auto of_rank = [](BatchShape divided, int rank) {
    divided.tensor_rank = rank;
    return divided;
  };
  expect_early(of_rank(shape, 0), true, {0, 10});
  expect_early(of_rank(shape, 1), true, {10, 20});
  expect_early(of_rank(shape, 3), true, {30, 37});
  expect_early(of_rank({.length = 5, .tensor_ranks = 4}, 3), true, {5, 5});
  expect_early(of_rank(shape, 1), false, {0, 0});
  expect_early(shape.with_all_rows(), true, {0, 0});
}

/// Visits of such segments between a post of keys, or of their gradients, and what waits for it.
int made_meanwhile(const Walk& walk, std::string_view name) {
  int found = 0;
  std::size_t post = walk.size();
  for (std::size_t at = 0; at < walk.size(); ++at) {
    if (moves_rows(walk[at])) post = at;
    if (walk[at].segment->name() != name || walk[at].what == What::backward_weight) continue;
    EXPECT_TRUE(walk[at].waits_for.empty()) << "visit " << at;
    EXPECT_EQ(walk.at(post).layer, walk[at].layer);
    EXPECT_GT(first_waiting(walk, post), at);
    ++found;
  }
  return found;
}

TEST(OwnKeys, are_attended_to_while_others_travel_between_context_ranks) {
  const auto mesh = make_paper_mesh(MeshLayout({.cp = 2}, 2), 0);
  TestModel model(tiny::config({}), ModelSetup{.mesh = mesh.get()});
  const std::vector<Layer*> layers = model.stage().layers();
  EXPECT_EQ(made_meanwhile(forward_walk(layers), "own keys"), 4);
  for (const Walk& walk : {backward_walk(layers), backward_input_walk(layers)})
    EXPECT_EQ(made_meanwhile(walk, "queries"), 4);
}

/// Three rounds a layer, whose keys come again in backward; the last round of forward is attended to with
/// what follows.
TEST(OwnKeys, and_those_of_the_round_before_are_in_a_ring) {
  const auto mesh = make_paper_mesh(MeshLayout({.cp = 4, .cp_ring = true}, 4), 0);
  TestModel model(tiny::config({}), ModelSetup{.mesh = mesh.get()});
  const std::vector<Layer*> layers = model.stage().layers();
  EXPECT_EQ(made_meanwhile(forward_walk(layers), "own keys"), 4);
  EXPECT_EQ(made_meanwhile(forward_walk(layers), "keys of others"), 4 * 2);
  for (const Walk& walk : {backward_walk(layers), backward_input_walk(layers)}) {
    EXPECT_EQ(made_meanwhile(walk, "own keys"), 4);
    EXPECT_EQ(made_meanwhile(walk, "keys of others"), 4 * 3);
    EXPECT_EQ(made_meanwhile(walk, "queries"), 4);
  }
}

}  // namespace
}  // namespace caravan::testing
