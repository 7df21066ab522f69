#include "core/run/update_groups.hpp"

#include <gtest/gtest.h>

#include "tests/run/model_fixture.hpp"
#include "tests/run/tiny_model.hpp"

namespace caravan::testing {
namespace {

class PlainOptimizer : public Optimizer {
 public:
  std::vector<std::string> slots() const override { return {"a", "b"}; }
  void update(Ops&, const OptimizerStep&, Parameter&) override {}
};

class ElementwiseOptimizer final : public PlainOptimizer {
 public:
  bool is_elementwise() const override { return true; }
};

const char* bytes(const TensorView& view) {
  return static_cast<const char*>(view.data);
}

/// The group that `parameter` lies in, in every arena by the same number of elements from its begin.
const Parameter* group_of(const std::vector<Parameter>& groups, const Parameter& parameter) {
  for (const Parameter& group : groups) {
    const std::ptrdiff_t at = (bytes(parameter.master) - bytes(group.master)) / 4;
    if (at < 0 || at + parameter.master.count() > group.master.count()) continue;
    EXPECT_EQ(bytes(parameter.grad) - bytes(group.grad), 4 * at);
    for (std::size_t slot = 0; slot < parameter.slots.size(); ++slot)
      EXPECT_EQ(bytes(parameter.slots[slot]) - bytes(group.slots[slot]), 4 * at);
    const auto width = static_cast<std::ptrdiff_t>(size_of(parameter.weight.dtype));
    EXPECT_EQ(bytes(parameter.weight) - bytes(group.weight), width * at);
    return &group;
  }
  return nullptr;
}

TEST(UpdateGroups, holdEveryParameterOfAKindTogether) {
  TestModel model(tiny::config(), {.device = "reference", .slots = 2});
  const ParameterStore& store = model.parameters();
  const std::vector<Parameter> groups = update_groups(store, ElementwiseOptimizer());
  EXPECT_LT(groups.size(), store.parameters().size() / 2);
  for (const auto& parameter : store.parameters()) {
    const Parameter* group = group_of(groups, *parameter);
    ASSERT_TRUE(group) << parameter->spec().name;
    EXPECT_EQ(group->spec().kind, parameter->spec().kind) << parameter->spec().name;
  }
}

TEST(UpdateGroups, areTheParametersForAnOptimizerThatLooksAtThemWhole) {
  TestModel model(tiny::config(), {.device = "reference", .slots = 2});
  const std::vector<Parameter> groups = update_groups(model.parameters(), PlainOptimizer());
  ASSERT_EQ(groups.size(), model.parameters().parameters().size());
  for (const auto& parameter : model.parameters().parameters()) {
    const Parameter* group = group_of(groups, *parameter);
    ASSERT_TRUE(group);
    EXPECT_EQ(group->master.shape, parameter->master.shape);
    EXPECT_EQ(group->spec().name, parameter->spec().name);
  }
}

}  // namespace
}  // namespace caravan::testing
