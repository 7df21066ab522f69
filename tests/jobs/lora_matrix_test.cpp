#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "caravan/low_rank.hpp"
#include "core/run/host_values.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/world.hpp"
#include "tests/jobs/layout_case.hpp"
#include "tests/jobs/steps_taken.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Low-rank adapters against the dense model with W + s·B·A, and on every layout against one rank. Runs on 2
// and 4 ranks.
namespace caravan::jobs {
namespace {

constexpr double kLoraTolerance = 1e-5;
constexpr int kLoraSteps = 8, kLoraSequences = 8;
constexpr std::int64_t kRank = 3;
constexpr double kScale = 2;

const std::string kEverywhere =
    "model.lora={rank: 3, alpha: 6, parameters: ['*.attention.w?.weight', '*.feed_forward.*', '*.experts.*', "
    "'*.shared_experts.*']}";
const std::string kSomewhere =
    "model.lora={rank: 3, alpha: 3, parameters: ['*.attention.w[qv].weight', '*.w3.weight', "
    "'*.experts.w[23]']}";

ModelCase lora_model(const Keys& more) {
  Keys keys{"model.experts=8", "model.top_k=2", "model.moe_step=2", "train.sequence_length=24"};
  keys.insert(keys.end(), more.begin(), more.end());
  return {keys};
}

/// A value of an adapter, whatever the layout.
float adapter_value(const std::string& name, std::int64_t index) {
  return static_cast<float>(0.1 * std::sin(static_cast<double>(index) * 0.7 +
                                           static_cast<double>(name.size()) + (name.ends_with("a") ? 1 : 0)));
}

/// A as [matrices][r, M] or B as [matrices][N, r].
std::vector<float> adapter_values(const std::string& part, const std::string& which, std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t index = 0; index < count; ++index)
    values.push_back(adapter_value(adapter_name(part, which), index));
  return values;
}

void set_adapters(ParameterStore& store, Device&) {
  for (const Fragment& fragment : store.fragments()) {
    const std::string& name = fragment.parameter->spec().name;
    if (!is_adapter(name)) continue;
    store.set(fragment, [&](const TensorView& values) {
      for (std::int64_t index = 0; index < values.count(); ++index)
        values.as<float>()[index] = adapter_value(name, index);
    });
  }
}

/// [matrices, N, M] of a part of one or more matrices.
struct Extents {
  explicit Extents(const Shape& shape)
      : matrices(shape.rank() == 3 ? shape[0] : 1), N(shape[shape.rank() - 2]), M(shape[shape.rank() - 1]) {}
  std::int64_t matrices, N, M;
};

/// Calls visit(matrix, n, m, k).
template <class Visit>
void for_each_product(const Extents& of, const Visit& visit) {
  for (std::int64_t e = 0; e < of.matrices; ++e)
    for (std::int64_t n = 0; n < of.N; ++n)
      for (std::int64_t m = 0; m < of.M; ++m)
        for (std::int64_t k = 0; k < kRank; ++k) visit(e, n, m, k);
}

void add_products(ParameterStore& store, Device& device) {
  for (const Fragment& fragment : store.fragments()) {
    const auto& parts = fragment.parameter->spec().parts;
    std::vector<float> room;
    const TensorView now = on_host(device, fragment.master, room);
    store.set(fragment, [&](const TensorView& values) {
      std::copy_n(now.as<float>(), values.count(), values.as<float>());
      for (const PartOfFragment& each : parts_of(fragment, values)) {
        const std::string& name = parts[each.part].name;
        const bool is_adapted = name.find(".attention.w") != std::string::npos ||
                                name.find(".feed_forward.") != std::string::npos ||
                                name.find("experts.") != std::string::npos;
        if (!is_adapted) continue;
        const Extents of(each.view.shape);
        const auto a = adapter_values(name, "a", of.matrices * kRank * of.M),
                   b = adapter_values(name, "b", of.matrices * of.N * kRank);
        const bool is_grouped = each.view.shape.rank() == 3;
        for_each_product(of, [&](std::int64_t e, std::int64_t n, std::int64_t m, std::int64_t k) {
          const std::int64_t at = is_grouped ? e * each.view.stride(0) + n * each.view.stride(1) + m
                                             : n * each.view.stride(0) + m;
          each.view.as<float>()[at] += static_cast<float>(kScale) *
                                       b[static_cast<std::size_t>((e * of.N + n) * kRank + k)] *
                                       a[static_cast<std::size_t>((e * kRank + k) * of.M + m)];
        });
      }
    });
  }
}

double relative_norm(const std::vector<float>& ours, const std::vector<double>& expected) {
  double difference = 0, whole = 0;
  for (std::size_t at = 0; at < expected.size(); ++at) {
    difference += (double{ours[at]} - expected[at]) * (double{ours[at]} - expected[at]);
    whole += expected[at] * expected[at];
  }
  return std::sqrt(difference / whole);
}

class LoraOnRanks : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  void SetUp() override {
    static const std::string kAbsent = test::prepare_test_device(*make_registry(), *world_);
    if (!kAbsent.empty()) GTEST_SKIP() << kAbsent;
  }
  void expect_steps_of_one_rank(const Keys& keys, const std::vector<LayoutCase>& layouts) {
    const ModelCase model = lora_model(keys);
    const auto alone =
        take_steps(job_of({}, model, 1, kLoraSequences), *make_single_communicator(), kLoraSteps);
    for (const LayoutCase& layout : layouts) {
      if (world_->size() % layout.ranks() != 0) continue;
      SCOPED_TRACE(layout.text() + "; " + model.text());
      const auto ours =
          take_steps(job_of(layout, model, world_->size(), kLoraSequences), *world_, kLoraSteps);
      EXPECT_LE(largest_difference(ours.results, alone.results), kLoraTolerance);
    }
  }
  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
};

TEST_F(LoraOnRanks, adapters_compute_and_learn_as_the_dense_model_with_their_product) {
  const Keys keys{"train.max_norm=1e9"};
  const auto dense =
      take_steps(job_of({}, lora_model(keys), 1, 4), *make_single_communicator(), 1, add_products);
  const auto lora = take_steps(job_of({}, lora_model({keys[0], kEverywhere}), 1, 4),
                               *make_single_communicator(), 1, set_adapters);
  EXPECT_NEAR(lora.results[0].loss, dense.results[0].loss, 1e-5 * dense.results[0].loss);
  std::map<std::string, const PartValues*> of;
  for (const PartValues& part : lora.gradients) of[part.name] = &part;
  int seen = 0;
  for (const PartValues& base : dense.gradients) {
    const std::string a_name = adapter_name(base.name, "a"), b_name = adapter_name(base.name, "b");
    if (!of.contains(a_name)) continue;
    ++seen;
    const Extents extents(base.whole);
    const auto a = adapter_values(base.name, "a", extents.matrices * kRank * extents.M),
               b = adapter_values(base.name, "b", extents.matrices * extents.N * kRank);
    std::vector<double> da(a.size()), db(b.size());
    for_each_product(extents, [&](std::int64_t e, std::int64_t n, std::int64_t m, std::int64_t k) {
      const auto in_a = static_cast<std::size_t>((e * kRank + k) * extents.M + m),
                 in_b = static_cast<std::size_t>((e * extents.N + n) * kRank + k);
      const double dw = base.values[static_cast<std::size_t>((e * extents.N + n) * extents.M + m)];
      da[in_a] += kScale * double{b[in_b]} * dw;
      db[in_b] += kScale * double{a[in_a]} * dw;
    });
    EXPECT_LE(relative_norm(of[a_name]->values, da), 2e-5) << a_name;
    EXPECT_LE(relative_norm(of[b_name]->values, db), 2e-5) << b_name;
  }
  EXPECT_EQ(seen, 4 * 4 + 2 * 3 + 2 * 6);
  EXPECT_EQ(lora.gradients.size(), static_cast<std::size_t>(2 * seen)) << "nothing else has one";
}

TEST_F(LoraOnRanks, adapters_take_the_steps_of_one_rank) {
  expect_steps_of_one_rank({kEverywhere}, {{},
                                           {.shards = 2},
                                           {.pipeline = 2},
                                           {.pipeline = 2, .schedule = "zb_h1"},
                                           {.tensor = 2},
                                           {.context = 2},
                                           {.shards = 2, .expert = 2},
                                           {.tensor = 2, .expert = 2},
                                           {.tensor = 4},
                                           {.tensor = 2, .context = 2},
                                           {.tensor = 2, .shards = 2},
                                           {.shards = 2, .pipeline = 2}});
}

TEST_F(LoraOnRanks, some_of_a_block_and_recomputation_do_too) {
  expect_steps_of_one_rank({kSomewhere, "train.recompute=full"},
                           {{}, {.shards = 2}, {.tensor = 2}, {.context = 2}});
}

TEST_F(LoraOnRanks, every_optimizer_does_too) {
  expect_steps_of_one_rank({kEverywhere, "optimizer={name: muon}"}, {{}, {.shards = 2}, {.tensor = 2}});
  expect_steps_of_one_rank({kEverywhere, "optimizer={name: sgd, momentum: 0.9}"}, {{.shards = 2}});
}

}  // namespace
}  // namespace caravan::jobs
