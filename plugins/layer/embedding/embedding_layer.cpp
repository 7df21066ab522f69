#include <cmath>
#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// y[t] = table[tokens[t]] (+ sinusoid(position)), with dropout when asked. The first layer of a model: it
/// has no input, so its I is nothing and its W adds rows to the table's gradient.
class EmbeddingLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "embedding";
  static constexpr const char* kSummary = "Token embedding, optionally with fixed sinusoidal positions";
  static constexpr caravan_param kParams[] = {
      {"name", "string", nullptr, "", "", "Prefix of the parameter names; empty for the usual names."},
      {"vocab_size", "int", nullptr, "tokens", "[1, 16777216]", "Rows of the table."},
      {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
      {"positions", "int", "2048", "tokens", "[1, 16777216]", "The most positions of a sequence."},
      {"sinusoidal", "bool", "false", "", "", "Add fixed sinusoidal positions (Vaswani et al. 2017)."},
      {"dropout", "float", "0", "", "[0, 1)", "Dropout of the output."},
      {"init_std", "float", "1", "", ">= 0", "Standard deviation of the table."},
      {"init_cut", "float", "0", "", ">= 0", "Standard deviations at which the table is cut; 0: nowhere."},
  };

  EmbeddingLayer(const Host& host, const Config& config)
      : dim_(config.get_int("dim")),
        dropout_("tok_embeddings", ".dropout", static_cast<float>(config.get_float("dropout")), dim_),
        table_(host.parameters->declare(ParameterSpec::whole("tok_embeddings.weight",
                                                             {config.get_int("vocab_size"), dim_},
                                                             ParameterKind::embedding, initial(config)))),
        segment_(
            *this, "embedding",
            {&EmbeddingLayer::forward, &EmbeddingLayer::backward_input, &EmbeddingLayer::backward_weight}),
        segments_{&segment_},
        parameters_{&table_} {
    if (config.get_bool("sinusoidal")) {
      positions_ = &host.parameters->declare_buffer(
          "positions.sinusoidal", {config.get_int("positions"), dim_}, Buffer::Role::constant);
    }
  }

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape&) const override { return 0; }  // a lookup

  void plan(const BatchShape& shape, StashPlan& plan) override { dropout_.plan(shape, plan); }

  void prepare(Device& device, std::int64_t) override {
    if (!positions_) return;
    std::vector<float> table;
    for (std::int64_t position = 0; position < positions_->shape[0]; ++position) {
      for (std::int64_t column = 0; column < dim_; ++column) table.push_back(sinusoid(position, column));
    }
    device.copy_from_host(Lane::compute, positions_->data.data, table.data(), positions_->data.bytes());
    device.synchronize();
  }

 private:
  static Initial initial(const Config& config) {
    const auto std = static_cast<float>(config.get_float("init_std"));
    return {.std = std, .bound = static_cast<float>(config.get_float("init_cut")) * std};
  }

  float sinusoid(std::int64_t position, std::int64_t column) const {
    const double exponent = static_cast<double>(column / 2 * 2) / static_cast<double>(dim_);
    const double angle = static_cast<double>(position) / std::pow(10000.0, exponent);
    return static_cast<float>(column % 2 == 0 ? std::sin(angle) : std::cos(angle));
  }

  void forward(Run& run, Frame& frame) {
    run.ops.embedding_forward({run.tokens, table_.weight, frame.y});
    if (positions_) run.ops.add_positions({frame.y, positions_->data, run.token_map});
    dropout_.finish(run, frame);
  }

  void backward_input(Run& run, Frame& frame) { dropout_.backward_input(run, frame); }

  void backward_weight(Run& run, Frame& frame) {
    run.ops.embedding_backward_weight({run.tokens, dropout_.gradient(frame), table_.grad});
  }

  std::int64_t dim_;
  OutputDropout dropout_;
  Parameter& table_;
  Buffer* positions_ = nullptr;
  SegmentOf<EmbeddingLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-embedding", CARAVAN_VERSION, "Apache-2.0", "Token embedding",
               caravan::component<caravan::EmbeddingLayer>());
