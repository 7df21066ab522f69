#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/run/mini_model.hpp"
#include "tests/run/mutated_device.hpp"

// What wrong models give, by the same independent evaluation as the golden values. Each must be told from the
// right one by the loss alone, and must be wrong in exactly the expected way: then the switch or the operator
// does what it says.
namespace caravan::testing {
namespace {

constexpr double kMutated = 1e-5;  // digits of the table, and the smallest change in it is 3e-5

void expect_caught(double loss, double mutated) {
  EXPECT_NEAR(loss, mutated, kMutated);
  EXPECT_GT(std::abs(loss - mini::kLoss), mini::kTolerance);
}

double loss_of(const Config& config, const ModelSetup& setup = {},
               mini::Reading reading = mini::Reading::right) {
  TestModel model(config, setup);
  mini::fill(model, reading);
  return evaluate(model, mini::batch()).loss;
}

struct Switch {
  const char* name;
  const char* assignment;
  double loss;
};

class MiniSwitch : public ::testing::TestWithParam<Switch> {};

INSTANTIATE_TEST_SUITE_P(
    Mutations, MiniSwitch,
    ::testing::Values(Switch{"no_qk_norm", "qk_norm=false", 2.935194341},
                      Switch{"no_temperature_tuning", "temperature=null", 3.016415059},
                      Switch{"no_chunking", "chunk_size=0", 2.901883746},
                      Switch{"score_on_output", "score_on=output", 3.040590526},
                      Switch{"softmax_over_the_selected", "score=softmax_selected", 3.128025277},
                      Switch{"rotation_8_1_4", "rope_scaling={factor: 8, low: 1, high: 4, original: 64}",
                             3.015855016},
                      Switch{"no_rotation_scaling", "rope_scaling=null", 3.015404664},
                      Switch{"no_shared_expert", "shared_experts=0", 2.947820484},
                      Switch{"top_2", "top_k=2", 3.056029000}),
    [](const auto& test) { return test.param.name; });

TEST_P(MiniSwitch, is_caught) {
  Config config = mini::config();
  config.override_with(GetParam().assignment);
  for (const std::string& device : devices()) {
    SCOPED_TRACE(device);
    expect_caught(loss_of(config, {.device = device}), GetParam().loss);
  }
}

TEST(MiniMutation, half_split_rotation_is_caught) {
  expect_caught(loss_of(mini::config(), {}, mini::Reading::half_split_rotation), 3.032696000);
}
TEST(MiniMutation, swapped_gate_and_up_are_caught) {
  expect_caught(loss_of(mini::config(), {}, mini::Reading::gate_up_swapped), 3.036336441);
}
TEST(MiniMutation, interleaved_gate_and_up_are_caught) {
  expect_caught(loss_of(mini::config(), {}, mini::Reading::gate_up_interleaved), 3.048982902);
}

TEST(MiniMutation, rotation_on_all_layers_is_caught) {
  Config config = mini::config();
  config.override_with("nope_interval=0");
  expect_caught(loss_of(config), 3.100542163);
}

TEST(MiniMutation, qk_norm_on_the_layer_without_rotation_is_caught) {
  auto norm_everywhere = [](LayerSpec& layer) {
    if (layer.plugin == "attention") layer.config.set("qk_norm", "true");
  };
  expect_caught(loss_of(mini::config(), {.edit = norm_everywhere}), 3.029144512);
}

/// Mean square over `width` neighbours made 1, row by row.
void normalise(TensorView rows, std::int64_t begin, std::int64_t width, float eps) {
  for (std::int64_t row = 0; row < rows.extent(0); ++row) {
    float* x = rows.as<float>() + row * rows.stride(0) + begin;
    double squares = 0;
    for (std::int64_t i = 0; i < width; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double rstd = 1 / std::sqrt(squares / static_cast<double>(width) + eps);
    for (std::int64_t i = 0; i < width; ++i) x[i] = static_cast<float>(x[i] * rstd);
  }
}

struct NormAcrossHeads : ReferenceOps {
  void qk_prepare_forward(const QkPrepareForward& args) override {
    QkPrepareForward rotation = args;
    rotation.how.norm_eps = 0;
    rotation.rstd = {};
    ReferenceOps::qk_prepare_forward(rotation);
    if (args.how.norm_eps == 0) return;
    const std::int64_t queries = args.how.heads * args.how.head_dim,
                       keys = args.how.kv_heads * args.how.head_dim;
    normalise(args.qkv, 0, queries, args.how.norm_eps);
    normalise(args.qkv, queries, keys, args.how.norm_eps);
  }
};

TEST(MiniMutation, qk_norm_across_heads_is_caught) {
  DeviceWith<NormAcrossHeads> device;
  expect_caught(loss_of(mini::config(), {.on = &device}), 3.014110368);
}

struct NormBeforeRotation : ReferenceOps {
  void qk_prepare_forward(const QkPrepareForward& args) override {
    if (args.how.norm_eps == 0) return ReferenceOps::qk_prepare_forward(args);
    QkPrepareForward norm = args, rotation = args;
    norm.how.cos = norm.how.sin = {};
    norm.how.floor_scale = rotation.how.norm_eps = 0;
    rotation.rstd = {};
    ReferenceOps::qk_prepare_forward(norm);
    ReferenceOps::qk_prepare_forward(rotation);
  }
};

TEST(MiniMutation, qk_norm_before_the_rotation_is_the_same_model) {
  DeviceWith<NormBeforeRotation> device;
  EXPECT_NEAR(loss_of(mini::config(), {.on = &device}), mini::kLoss, mini::kTolerance);
}

/// Chunks taken for windows: a query sees the last `chunk` keys.
struct SlidingWindow : ReferenceOps {
  void attention_forward(const AttentionForward& args) override {
    if (args.mask.chunk == 0) return ReferenceOps::attention_forward(args);
    for (std::int64_t query = 0; query < args.q.extent(1); ++query) {
      const std::int64_t first = std::max<std::int64_t>(0, query - args.mask.chunk + 1);
      AttentionForward one = args;
      one.q = args.q.slice(1, query, query + 1);
      one.out = args.out.slice(1, query, query + 1);
      one.lse = args.lse.slice(2, query, query + 1);
      one.k = args.k.slice(1, first, query + 1);
      one.v = args.v.slice(1, first, query + 1);
      one.mask = {query, first, 0, {}};
      ReferenceOps::attention_forward(one);
    }
  }
};

TEST(MiniMutation, sliding_window_instead_of_chunks_is_caught) {
  DeviceWith<SlidingWindow> device;
  expect_caught(loss_of(mini::config(), {.on = &device}), 3.095359320);
}

}  // namespace
}  // namespace caravan::testing
