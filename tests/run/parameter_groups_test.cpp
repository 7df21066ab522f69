#include "core/run/parameter_groups.hpp"

#include <gmock/gmock.h>

#include <map>

#include "core/device/reference_device.hpp"

// Where parameters of a group lie, and what each rank keeps of them, for sizes that divide nowhere.
namespace caravan::testing {
namespace {

constexpr std::uint64_t kSeed = 3;

/// A store of parameters in two groups, as the rank at `rank` of `ranks` that divide them holds it.
class Divided {
 public:
  Divided(int rank, int ranks)
      : mesh_(make_paper_mesh(MeshLayout({.dp_shard = ranks}, ranks), rank)),
        store_(DType::f32, mesh_.get()) {
    const auto declare = [&](const char* name, const Shape& shape) {
      return &store_.declare(ParameterSpec::whole(name, shape, ParameterKind::dense, {}));
    };
    Parameter* matrix = declare("matrix", {33, 97});
    Parameter* vector = declare("vector", {97});
    vector->replaces_gradient();
    Parameter* one = declare("one", {1});
    Parameter* experts = declare("experts", {5, 3, 7});
    std::vector<ParameterGroup> groups;
    groups.emplace_back("first", std::vector<Parameter*>{vector, matrix, one}, MeshAxis::fsdp, *mesh_);
    groups.emplace_back("second", std::vector<Parameter*>{experts}, MeshAxis::efsdp, *mesh_);
    for (ParameterGroup& group : groups) group.shares_gradient_room = true;  // both in room 0
    if (ranks > 1) store_.divide(std::move(groups));
    store_.allocate(device_, ParameterStore::Content::weights_and_gradients, 2);
    store_.initialise(kSeed);
  }
  ParameterStore& store() { return store_; }
  Device& device() { return device_; }

 private:
  ReferenceDevice device_{Host{}, Config::map()};
  std::unique_ptr<Mesh> mesh_;
  ParameterStore store_;
};

class ParameterGroups : public ::testing::TestWithParam<int> {};

TEST_P(ParameterGroups, AreKeptElementByElementOnOneRankWithTheValuesOfTheWhole) {
  Divided whole(0, 1);
  std::map<std::string, std::vector<int>> kept;
  for (const Fragment& fragment : whole.store().fragments())
    kept[fragment.parameter->spec().name].resize(static_cast<std::size_t>(fragment.count()));
  for (int rank = 0; rank < GetParam(); ++rank) {
    Divided divided(rank, GetParam());
    for (std::size_t index = 0; index < divided.store().fragments().size(); ++index) {
      const Fragment& fragment = divided.store().fragments()[index];
      const Fragment& all = whole.store().fragments()[index];
      ASSERT_EQ(fragment.parameter->spec().name, all.parameter->spec().name);
      for (std::int64_t element = 0; element < fragment.count(); ++element) {
        ++kept[fragment.parameter->spec().name][static_cast<std::size_t>(fragment.begin + element)];
        EXPECT_EQ(fragment.master.as<float>()[element], all.master.as<float>()[fragment.begin + element]);
      }
    }
  }
  for (const auto& [name, times] : kept) EXPECT_THAT(times, ::testing::Each(1)) << name;
}

TEST_P(ParameterGroups, HaveEqualStretchesAndTheParametersInTheirRooms) {
  const int ranks = GetParam();
  for (int rank = 0; rank < ranks; ++rank) {
    Divided divided(rank, ranks);
    for (const ParameterGroup& group : divided.store().groups()) {
      EXPECT_EQ(group.elements, ranks * group.stretch.size());
      EXPECT_EQ(group.stretch.begin, rank * group.stretch.size());
      EXPECT_EQ(group.stretch.size() % ParameterGroup::kAlignment, 0);
      EXPECT_LT(group.elements - group.used, ranks * ParameterGroup::kAlignment);
      EXPECT_EQ(group.own_gradients.count(), group.stretch.size());
      for (std::size_t index = 0; index < group.parameters.size(); ++index) {
        const Parameter& parameter = *group.parameters[index];
        EXPECT_EQ(parameter.weight.as<float>(), group.weights.as<float>() + group.offsets[index]);
        EXPECT_EQ(parameter.grad.as<float>(), group.gradients.as<float>() + group.offsets[index]);
        EXPECT_EQ(parameter.weight.shape, parameter.shape());
        EXPECT_EQ(group.offsets[index] % ParameterGroup::kAlignment, 0);
      }
    }
  }
}

TEST_P(ParameterGroups, StartWithZeroWhereNobodyReplacesAndInTheGaps) {
  Divided divided(0, GetParam());
  const ParameterGroup& group = divided.store().groups().front();
  ASSERT_EQ(group.parameters.back()->spec().name, "vector") << "replaced ones lie last";
  auto* values = group.gradients.as<float>();
  std::fill(values, values + group.elements, 7.0f);  // of the group that had the room before
  divided.store().start_gradients(divided.device(), group);
  const std::int64_t begin = group.offsets.back(), end = begin + 97;
  for (std::int64_t element = 0; element < group.elements; ++element)
    EXPECT_EQ(values[element], element >= begin && element < end ? 7.0f : 0.0f) << element;
  divided.store().finish_gradients(divided.device(), group);
  for (std::int64_t element = begin; element < end; ++element) EXPECT_EQ(values[element], 0.0f);
}

TEST_P(ParameterGroups, TakeAnNthOfTheMemoryAndRooms) {
  Divided whole(0, 1), divided(GetParam() - 1, GetParam());
  using Content = ParameterStore::Content;
  const auto all = whole.store().memory(Content::weights_and_gradients, 2),
             mine = divided.store().memory(Content::weights_and_gradients, 2);
  const double alignment = 2 * ParameterGroup::kAlignment * sizeof(float);
  EXPECT_NEAR(static_cast<double>(mine.weights), static_cast<double>(all.weights) / GetParam(), alignment);
  EXPECT_EQ(mine.gradients, mine.weights);
  EXPECT_EQ(mine.slots, 2 * mine.weights);
  const auto groups = divided.store().groups();
  EXPECT_EQ(mine.weight_rooms, static_cast<std::size_t>(groups[0].elements) * sizeof(float))
      << "as large as the larger group";
  EXPECT_EQ(mine.gradient_rooms,
            static_cast<std::size_t>(groups[0].elements + groups[0].stretch.size()) * sizeof(float));
}

/// Rows of 33 elements, fewer than some numbers of ranks: the last ones then have none.
TEST_P(ParameterGroups, OfATableWhoseRowsAreSummedAreCutBetweenRowsAndHaveNoRoomOfGradients) {
  for (const std::int64_t rows : {97, 5}) {
    std::int64_t next = 0;
    for (int rank = 0; rank < GetParam(); ++rank) {
      const auto mesh = make_paper_mesh(MeshLayout({.dp_shard = GetParam()}, GetParam()), rank);
      ReferenceDevice device{Host{}, Config::map()};
      ParameterStore store(DType::bf16, mesh.get());
      Parameter& table =
          store.declare(ParameterSpec::whole("table", {rows, 33}, ParameterKind::embedding, {}));
      table.offers_row_sums();
      store.sum_rows_of(std::vector<std::string>{"table", "elsewhere"});
      std::vector<ParameterGroup> groups;
      groups.emplace_back("table", std::vector<Parameter*>{&table}, MeshAxis::fsdp, *mesh);
      store.divide(std::move(groups));
      const auto memory = store.memory(ParameterStore::Content::weights_and_gradients, 1);
      store.allocate(device, ParameterStore::Content::weights_and_gradients, 1);

      const Fragment& kept = store.fragments().front();
      EXPECT_EQ(memory.gradient_rooms, 0u);
      EXPECT_EQ(table.gradient_rows().begin, next);
      EXPECT_EQ(kept.begin, table.gradient_rows().begin * 33);
      EXPECT_EQ(kept.end, table.gradient_rows().end * 33);
      EXPECT_EQ(table.grad.shape, (Shape{table.gradient_rows().size(), 33}));
      EXPECT_EQ(table.grad.data, kept.grad.data);
      EXPECT_EQ(table.weight.shape, table.shape());
      next = table.gradient_rows().end;
    }
    EXPECT_EQ(next, rows);
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ParameterGroups, ::testing::Values(2, 3, 4, 7, 8));

}  // namespace
}  // namespace caravan::testing
