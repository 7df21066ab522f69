#include "tests/run/mini_model.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace caravan::testing::mini {
namespace {

constexpr std::int64_t kHeadDim = 4, kExperts = 4, kExpertWidth = 6, kDim = 8, kLayers = 4;

/// Draws the tensors one after the other, in the order of the file.
class Filler {
 public:
  Filler(TestModel& model, Reading reading) : model_(model), reading_(reading) {}

  void norm(const std::string& name) { model_.set(name, draw(kDim, 0.2, 1)); }
  void matrix(const std::string& name) { model_.set(name, draw(model_.weight(name).count(), 1, 0)); }
  /// A tensor of the file that the model has no place for.
  void skip() { ++tensor_; }
  /// A projection whose rows are rotated.
  void rotated(const std::string& name) {
    const std::int64_t count = model_.weight(name).count(), heads = count / (kHeadDim * kDim);
    const std::vector<float> drawn = draw(count, 1, 0);
    if (reading_ != Reading::half_split_rotation) return model_.set(name, drawn);
    const TensorView to = model_.weight(name);
    for (std::int64_t row = 0; row < heads * kHeadDim; ++row) {
      const std::int64_t in_head = row % kHeadDim;
      const std::int64_t from = row - in_head + in_head / 2 + in_head % 2 * (kHeadDim / 2);
      for (std::int64_t column = 0; column < kDim; ++column) {
        element(to, row * kDim + column) = drawn[static_cast<std::size_t>(from * kDim + column)];
      }
    }
  }
  /// gate_up_proj [E, D, 2I] to w1 and w3 [E, I, D]; down_proj [E, I, D] to w2 [E, D, I].
  void experts(const std::string& name) {
    const std::vector<float> gate_up = draw(kExperts * kDim * 2 * kExpertWidth, 1, 0);
    for (std::int64_t expert = 0; expert < kExperts; ++expert) {
      for (std::int64_t unit = 0; unit < kExpertWidth; ++unit) {
        for (std::int64_t input = 0; input < kDim; ++input) {
          const std::int64_t row = (expert * kDim + input) * 2 * kExpertWidth,
                             to = (expert * kExpertWidth + unit) * kDim + input;
          element(model_.weight(name + "w1"), to) =
              gate_up[static_cast<std::size_t>(row + gate_column(unit))];
          element(model_.weight(name + "w3"), to) = gate_up[static_cast<std::size_t>(row + up_column(unit))];
        }
      }
    }
    transposed(name + "w2", {kExperts, kExpertWidth, kDim});
  }

 private:
  std::int64_t gate_column(std::int64_t unit) const {
    if (reading_ == Reading::gate_up_interleaved) return 2 * unit;
    return reading_ == Reading::gate_up_swapped ? unit + kExpertWidth : unit;
  }
  std::int64_t up_column(std::int64_t unit) const {
    if (reading_ == Reading::gate_up_interleaved) return 2 * unit + 1;
    return reading_ == Reading::gate_up_swapped ? unit : unit + kExpertWidth;
  }

  /// A stored [n, a, b] into a part [n, b, a].
  void transposed(const std::string& name, const std::array<std::int64_t, 3>& stored) {
    const auto [count, rows, columns] = stored;
    const std::vector<float> drawn = draw(count * rows * columns, 1, 0);
    const TensorView to = model_.weight(name);
    for (std::int64_t index = 0; index < count * rows * columns; ++index) {
      const std::int64_t column = index % columns, row = index / columns % rows,
                         matrix = index / columns / rows;
      element(to, (matrix * columns + column) * rows + row) = drawn[static_cast<std::size_t>(index)];
    }
  }

  std::vector<float> draw(std::int64_t count, double scale, double offset) {
    std::vector<float> drawn;
    for (std::int64_t i = 0; i < count; ++i) {
      drawn.push_back(static_cast<float>(offset + scale * hashed(tensor_, static_cast<std::uint32_t>(i))));
    }
    ++tensor_;
    return drawn;
  }

  TestModel& model_;
  Reading reading_;
  std::uint32_t tensor_ = 0;
};

bool has(const TestModel& model, const std::string& name) {
  const auto names = model.names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

double hashed(std::uint32_t tensor, std::uint32_t element) {
  std::uint32_t x = element * 0x9E3779B1u + (tensor + 1) * 0x85EBCA77u;
  x ^= x >> 15;
  x *= 0x2C1B3C6Du;
  x ^= x >> 12;
  x *= 0x297A2D39u;
  x ^= x >> 15;
  return static_cast<double>(x) / 4294967296.0 - 0.5;
}

Config config() {
  return Config::parse(R"(
vocab_size: 16
dim: 8
layers: 4
heads: 2
kv_heads: 1
head_dim: 4
positions: 64
rope_theta: 10000
rope_scaling: {factor: 16, low: 1, high: 1, original: 64}
nope_interval: 4
nope_offset: 3
chunk_size: 4
qk_norm: true
temperature: {scale: 0.1, floor: 4}
experts: 4
moe_step: 2
dense_width: 10
expert_width: 6
load_balance_rate: 0
)");
}

TestBatch batch() {
  TestBatch batch{1, 12, {}, {}};
  for (std::int32_t j = 0; j < 12; ++j) batch.tokens.push_back((5 * j * j + 3 * j + 1) % 16);
  for (std::size_t j = 0; j < 12; ++j) batch.labels.push_back(j < 11 ? batch.tokens[j + 1] : kIgnoredLabel);
  return batch;
}

void fill(TestModel& model, Reading reading) {
  Filler filler(model, reading);
  filler.matrix("tok_embeddings.weight");
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string name = "layers." + std::to_string(layer) + ".";
    filler.norm(name + "attention_norm.weight");
    filler.rotated(name + "attention.wq.weight");
    filler.rotated(name + "attention.wk.weight");
    filler.matrix(name + "attention.wv.weight");
    filler.matrix(name + "attention.wo.weight");
    filler.norm(name + "ffn_norm.weight");
    const bool experts = layer % 2 == 1;
    if (experts) {
      filler.matrix(name + "moe.router.gate.weight");
      filler.experts(name + "moe.experts.");
    }
    const std::string block = name + (experts ? "moe.shared_experts." : "feed_forward.");
    for (const char* part : {"w1.weight", "w3.weight", "w2.weight"}) {
      if (has(model, block + part))
        filler.matrix(block + part);
      else
        filler.skip();
    }
  }
  filler.norm("norm.weight");
  filler.matrix("output.weight");
}

}  // namespace caravan::testing::mini
