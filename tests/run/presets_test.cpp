#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "tests/run/model_fixture.hpp"

namespace caravan::testing {
namespace {

/// A model that was made and never allocated.
struct Preset {
  explicit Preset(const std::string& name) {
    const Config config = Config::load(std::string(CARAVAN_PRESETS) + "/" + name + ".yaml");
    experts = config.find("experts").is_null() ? 0 : config.get_int("experts");
    Host host;
    host.registry = &registry();
    host.parameters = &store;
    const auto model = registry().create<Model>("llama4", host, config);
    stage = std::make_unique<Stage>(host, *model);
  }

  std::int64_t of(ParameterKind kind) const { return store.count(kind); }
  /// torchtitan's terms: everything in a layer of experts but its norm is sparse.
  std::int64_t sparse() const {
    return of(ParameterKind::router) + of(ParameterKind::shared_expert) + of(ParameterKind::expert);
  }
  std::int64_t dense() const { return store.count() - sparse(); }
  std::int64_t active() const {
    return store.count() - of(ParameterKind::expert) + of(ParameterKind::expert) / experts;  // top-1
  }
  std::size_t parts() const {
    std::size_t count = 0;
    for (const auto& parameter : store.parameters()) count += parameter->spec().parts.size();
    return count;
  }
  /// Of forward and backward, a token.
  double training_flops(std::int64_t length) const {
    return 3 * stage->forward_flops({1, length, Phase::train}) / static_cast<double>(length);
  }

  ParameterStore store;
  std::unique_ptr<Stage> stage;
  std::int64_t experts = 0;
};

const std::map<std::string, std::int64_t>& expected_counts() {
  static const std::map<std::string, std::int64_t> kCounts{
      {"debugmodel", 15'017'216},       {"debugmodel_irope", 15'017'216},
      {"17bx16e", 107'769'861'120},     {"17bx16e_irope", 107'769'861'120},
      {"17bx128e", 400'711'848'960},    {"17bx128e_irope", 400'711'848'960},
      {"scout", 107'769'861'120},       {"maverick", 400'711'848'960},
      {"bench-mini8", 3'012'855'808},   {"bench-scratch", 1'276'189'440},
      {"bench-mini16", 5'894'637'568},  {"bench-scout2", 6'473'180'160},
      {"bench-scout4", 10'877'383'680}, {"cpu-512", 39'858'688},
      {"cpu-768", 92'818'176},          {"scratch", 652'295'937},
  };
  return kCounts;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(CARAVAN_PRESETS)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class EveryPreset : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Presets, EveryPreset, ::testing::ValuesIn(preset_names()), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(EveryPreset, has_its_parameters_to_the_digit) {
  ASSERT_TRUE(expected_counts().contains(GetParam())) << "a preset that no test knows";
  EXPECT_EQ(Preset(GetParam()).store.count(), expected_counts().at(GetParam()));
}

struct Split {
  const char* name;
  std::int64_t dense, sparse, active;
  std::size_t
      parts;  ///< as many as Hugging Face has tensors, gate and up of the routed experts counted apart
};

class PresetSplit : public ::testing::TestWithParam<Split> {};
INSTANTIATE_TEST_SUITE_P(
    Presets, PresetSplit,
    ::testing::Values(Split{"debugmodel", 4'394'240, 10'622'976, 6'759'680, 69},
                      Split{"17bx16e", 5'089'367'040, 102'680'494'080, 17'172'894'720, 627},
                      Split{"scout", 5'089'367'040, 102'680'494'080, 17'172'894'720, 627},
                      Split{"17bx128e", 11'129'164'800, 389'582'684'160, 17'184'691'200, 531},
                      Split{"maverick", 11'129'164'800, 389'582'684'160, 17'184'691'200, 531}),
    [](const auto& test) { return "of_" + std::string(test.param.name); });

TEST_P(PresetSplit, into_dense_sparse_and_active_parameters) {
  const Preset preset(GetParam().name);
  EXPECT_EQ(preset.dense(), GetParam().dense);
  EXPECT_EQ(preset.sparse(), GetParam().sparse);
  EXPECT_EQ(preset.active(), GetParam().active);
  EXPECT_EQ(preset.parts(), GetParam().parts);
}

// torchtitan's figure counts norm weights as products and attention without its mask; both are taken out.
TEST(PresetFlops, of_debugmodel_are_those_of_torchtitan_with_causal_attention_at_half) {
  const double titan = 75'161'088, norms = 6.0 * 13 * 256, half_of_attention = 6.0 * 6 * 256 * 2048;
  EXPECT_DOUBLE_EQ(Preset("debugmodel").training_flops(2048), titan - norms - half_of_attention);
}

// 36 of 48 layers attend within 8192 positions, the others everywhere; six operations a weight that a token
// meets.
TEST(PresetFlops, of_scout_count_chunks_as_chunks) {
  const Preset scout("scout");
  const double width = 5120, linear = 6.0 * (17'172'894'720.0 - 202'048 * width - 97 * width);
  auto attention = [&](double local, double everywhere) {
    return 6 * width * (36 * local + 12 * everywhere);
  };
  EXPECT_DOUBLE_EQ(scout.training_flops(2048), linear + attention(2048, 2048));
  EXPECT_DOUBLE_EQ(scout.training_flops(8192), linear + attention(8192, 8192));
  EXPECT_DOUBLE_EQ(scout.training_flops(32768), linear + attention(8192, 32768));
  EXPECT_NEAR(linear, 96.83e9, 0.005e9);
  EXPECT_NEAR(attention(8192, 131072), 57.38e9, 0.005e9);
}

TEST(PresetFlops, count_a_last_chunk_that_is_not_full) {
  const Preset scout("scout");
  const double length = 12288, local = (8192.0 * 8192 + 4096.0 * 4096) / length;
  const double less = 3 * 4.0 / 2 * 5120 * 36 * (length - local);
  EXPECT_NEAR(scout.training_flops(12288), Preset("17bx16e").training_flops(12288) - less, 1);
}

TEST(BuildingMaverick, takes_neither_time_nor_memory) {
  const auto start = std::chrono::steady_clock::now();
  const Preset maverick("maverick");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 1.0);
  const auto memory = maverick.store.memory(ParameterStore::Content::weights_and_gradients, 2);
  EXPECT_GE(memory.total(), 16 * 400'711'848'960u);
  EXPECT_LT(memory.total(), 16 * 400'711'848'960u + (64u << 20));
  rusage usage{};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  EXPECT_LT(usage.ru_maxrss, 100 * 1024) << "kilobytes, of the whole process";
}

TEST(PlanningMaverick, needs_no_memory_either) {
  Preset maverick("maverick");
  const StashLayout layout(maverick.stage->layers(), {1, 8192, Phase::train}, StashMode::fused,
                           maverick.stage->width());
  EXPECT_GT(layout.total_bytes(1), std::size_t{48} * 8192 * 5120 * 4) << "at least the inputs of the layers";
  EXPECT_GT(layout.total_bytes(2), layout.total_bytes(1));
}

}  // namespace
}  // namespace caravan::testing
