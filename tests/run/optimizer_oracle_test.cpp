#include "tests/run/optimizer_oracle.hpp"

#include <gtest/gtest.h>

#include "core/run/host_values.hpp"
#include "core/run/matrix_updates.hpp"
#include "core/run/update_groups.hpp"
#include "tests/run/model_fixture.hpp"

// Optimizers as they are asked for in a job, on every device, against values of Python's own numbers.
namespace caravan::testing {
namespace {

constexpr double kLr = 0.05;
constexpr float kScale = 0.5f;
constexpr int kSteps = 4;

float weight_at(std::int64_t i) {
  return static_cast<float>((i * 37 + 11) % 101 - 50) / 100;
}

float gradient_at(std::int64_t i, std::int64_t step) {
  return static_cast<float>((i * 53 + step * 29 + 7) % 97 - 48) / 50;
}

/// The parameters of the script.
class Parameters {
 public:
  Parameters(Device& device, Optimizer& optimizer) : device_(device), optimizer_(optimizer) {
    store_.declare({"fused", {8, 4}, ParameterKind::attention, 0, {{"a", 5, {}}, {"b", 3, {}}}, {}});
    store_.declare({"experts", {2, 5, 4}, ParameterKind::expert, 1, {{"c", 3, {}}, {"d", 2, {}}}, {}});
    store_.declare(ParameterSpec::whole("bias", {4}, ParameterKind::dense, {}));
    store_.declare(ParameterSpec::whole("norm", {4}, ParameterKind::norm, {}));
    const std::size_t slots = optimizer.slots().size();
    store_.set_rules([&](const ParameterSpec& spec) {
      UpdateRule rule{.by_matrix = optimizer.takes_matrices(spec), .slots = 0};
      if (spec.name == "norm") rule = {.lr_factor = 0.5, .weight_decay = 0.0, .slots = 0};
      for (std::size_t slot = 0; slot < slots; ++slot)
        if (optimizer.keeps(slot, spec)) rule.slots |= 1U << slot;
      return rule;
    });
    store_.allocate(device, ParameterStore::Content::weights_and_gradients, slots);
    std::int64_t next = 0;
    for (const Fragment& fragment : store_.fragments())
      store_.set(fragment, [&](const TensorView& values) {
        for (std::int64_t i = 0; i < values.count(); ++i) values.as<float>()[i] = weight_at(next++);
      });
  }

  void set_gradients(std::int64_t step) {
    std::int64_t next = 0;
    for (const Fragment& fragment : store_.fragments())
      store_.set(fragment.grad, [&](const TensorView& values) {
        for (std::int64_t i = 0; i < values.count(); ++i) values.as<float>()[i] = gradient_at(next++, step);
      });
  }

  void update(std::int64_t step, const TensorView& scale) {
    const std::vector<UpdateGroup> groups = update_groups(store_, optimizer_);
    const auto settings = [&](const UpdateGroup& group) {
      return OptimizerStep{step, kLr * group.lr_factor, scale};
    };
    for (const UpdateGroup& group : groups)
      if (group.by_matrix) optimizer_.prepare(device_.ops(), settings(group), group);
    MatrixUpdates(device_, store_, optimizer_, nullptr).run();
    for (const UpdateGroup& group : groups) optimizer_.update(device_.ops(), settings(group), group);
  }

  std::vector<float> weights() {
    std::vector<float> all, room;
    for (const Fragment& fragment : store_.fragments()) {
      const TensorView values = on_host(device_, fragment.master, room);
      all.insert(all.end(), values.as<float>(), values.as<float>() + values.count());
    }
    return all;
  }

 private:
  Device& device_;
  Optimizer& optimizer_;
  ParameterStore store_;
};

std::vector<float> after_steps(const std::string& device_name, const std::string& name, const char* keys,
                               float scale) {
  const auto device = make_device(device_name);
  Host host;
  host.registry = &registry();
  host.device = device.get();
  const auto optimizer = registry().create<Optimizer>(name, host, Config::parse(keys));
  Parameters parameters(*device, *optimizer);
  Arena memory(*device, 64, "scale");
  const TensorView factor = memory.take(DType::f32, {1});
  device->copy_from_host(Lane::compute, factor.data, &scale, sizeof scale);
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    parameters.set_gradients(step);
    parameters.update(step, factor);
  }
  return parameters.weights();
}

struct OracleCase {
  const char* values;
  const char* optimizer;
  const char* keys;
};

constexpr OracleCase kCases[] = {
    {"adamw", "adamw", "{}"},
    {"adam", "adam", "{weight_decay: 0.2}"},
    {"sgd", "sgd", "{weight_decay: 0.1}"},
    {"sgd_momentum", "sgd", "{momentum: 0.9}"},
    {"sgd_nesterov", "sgd", "{momentum: 0.9, nesterov: true, weight_decay: 0.1}"},
    {"lion", "lion", "{weight_decay: 0.3}"},
    {"muon", "muon", "{}"},
    {"muon_original", "muon", "{adjust_lr: original, nesterov: false, weight_decay: 0}"},
};

TEST(OptimizerOracle, EveryOptimizerGivesTheScriptsValuesOnEveryDevice) {
  for (const std::string& device : devices()) {
    for (const OracleCase& each : kCases) {
      SCOPED_TRACE(device + " " + each.values);
      const std::vector<double>& expected = kOptimizerOracle.at(each.values);
      const std::vector<float> ours = after_steps(device, each.optimizer, each.keys, kScale);
      ASSERT_EQ(ours.size(), expected.size());
      for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], expected[i], 1e-5) << i;
    }
  }
}

TEST(OptimizerOracle, AStepThatFailedChangesNothing) {
  for (const std::string& device : devices()) {
    for (const OracleCase& each : kCases) {
      SCOPED_TRACE(device + " " + each.values);
      const std::vector<float> ours = after_steps(device, each.optimizer, each.keys, NAN);
      for (std::size_t i = 0; i < ours.size(); ++i)
        EXPECT_EQ(ours[i], weight_at(static_cast<std::int64_t>(i))) << i;
    }
  }
}

}  // namespace
}  // namespace caravan::testing
