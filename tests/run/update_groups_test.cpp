#include "core/run/update_groups.hpp"

#include <gtest/gtest.h>

#include "tests/run/model_fixture.hpp"
#include "tests/run/tiny_model.hpp"

namespace caravan::testing {
namespace {

class PlainOptimizer : public Optimizer {
 public:
  std::vector<std::string> slots() const override { return {"a", "b"}; }
  void update(Ops&, const OptimizerStep&, const UpdateGroup&) override {}
};

class ElementwiseOptimizer final : public PlainOptimizer {
 public:
  bool is_elementwise() const override { return true; }
};

const char* bytes(const TensorView& view) {
  return static_cast<const char*>(view.data);
}

/// The group that `fragment` lies in, in every arena by the same number of elements from its begin.
const UpdateGroup* group_of(const std::vector<UpdateGroup>& groups, const Fragment& fragment) {
  for (const UpdateGroup& group : groups) {
    const std::ptrdiff_t at = (bytes(fragment.master) - bytes(group.master)) / 4;
    if (at < 0 || at + fragment.count() > group.master.count()) continue;
    EXPECT_EQ(bytes(fragment.grad) - bytes(group.grad), 4 * at);
    for (std::size_t slot = 0; slot < fragment.slots.size(); ++slot)
      EXPECT_EQ(bytes(fragment.slots[slot]) - bytes(group.slots[slot]), 4 * at);
    EXPECT_TRUE(group.weight.empty()) << "the master is the weight";
    return &group;
  }
  return nullptr;
}

TEST(UpdateGroups, holdEveryParameterOfAKindTogether) {
  TestModel model(tiny::config(), {.device = "reference", .slots = 2});
  const ParameterStore& store = model.parameters();
  const std::vector<UpdateGroup> groups = update_groups(store, ElementwiseOptimizer());
  EXPECT_LT(groups.size(), store.parameters().size() / 2);
  for (const Fragment& fragment : store.fragments()) {
    const UpdateGroup* group = group_of(groups, fragment);
    ASSERT_TRUE(group) << fragment.parameter->spec().name;
    EXPECT_EQ(group->kind, fragment.parameter->spec().kind) << fragment.parameter->spec().name;
  }
}

TEST(UpdateGroups, areTheParametersForAnOptimizerThatLooksAtThemWhole) {
  TestModel model(tiny::config(), {.device = "reference", .slots = 2});
  const std::vector<UpdateGroup> groups = update_groups(model.parameters(), PlainOptimizer());
  ASSERT_EQ(groups.size(), model.parameters().parameters().size());
  for (const Fragment& fragment : model.parameters().fragments()) {
    const UpdateGroup* group = group_of(groups, fragment);
    ASSERT_TRUE(group);
    EXPECT_EQ(group->master.shape, fragment.parameter->shape());
    EXPECT_EQ(group->name, fragment.parameter->spec().name);
  }
}

}  // namespace
}  // namespace caravan::testing
