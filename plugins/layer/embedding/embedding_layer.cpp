#include <cmath>
#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/tensor_rows.hpp"

namespace caravan {
namespace {

/// y[t] = table[tokens[t]] (+ sinusoid(position)), with dropout when asked. The first layer of a model: it
/// has no input, so its I is nothing and its W adds rows to the table's gradient. Tensor ranks divide the
/// vocabulary: each looks up the tokens that it has, and the sum is divided by rows.
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
        rows_(host),
        dropout_("tok_embeddings", ".dropout", static_cast<float>(config.get_float("dropout")), dim_),
        table_(host.parameters->declare(
            ParameterSpec::whole("tok_embeddings.weight", {config.get_int("vocab_size"), dim_},
                                 ParameterKind::embedding, initial(config), {{0, MeshAxis::tp}}))),
        lookup_(*this, "embedding",
                {&EmbeddingLayer::look_up, &EmbeddingLayer::end_backward, &EmbeddingLayer::backward_weight}),
        sum_("sum", RowsSegment::Forward::sum, rows_, dim_, {found_, gradient_}),
        finish_(*this, "finish", {&EmbeddingLayer::finish, &EmbeddingLayer::backward_input}),
        segments_{&lookup_},
        parameters_{&table_} {
    if (rows_.travel()) segments_.insert(segments_.end(), {&sum_, &finish_});
    if (config.get_bool("sinusoidal")) {
      positions_ = &host.parameters->declare_buffer(
          "positions.sinusoidal", {config.get_int("positions"), dim_}, Buffer::Role::constant);
    }
  }

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape&) const override { return 0; }  // a lookup

  void plan(const BatchShape& shape, StashPlan& plan) override {
    dropout_.plan(shape, plan);
    const Shape none{0, dim_}, memory = rows_.travel() ? rows_.memory(shape, dim_) : none;
    found_ = plan.add("found", shape.compute, memory, Lifetime::forward, kOutputSection);
    gradient_ = plan.add("found.gradient", shape.compute, shape.phase == Phase::train ? memory : none,
                         Lifetime::backward_weight);
  }

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

  std::int64_t first_id() const { return table_.part_box(0).begin(0); }
  std::int64_t vocabulary() const { return table_.spec().shape[0]; }

  void look_up(Run& run, Frame& frame) {
    const TensorView found = rows_.travel() ? rows_.all(run.shape, frame[found_]) : frame.y;
    run.ops.embedding_forward({run.tokens, table_.weight, found, first_id(), vocabulary()});
    if (!rows_.travel()) finish(run, frame);
  }

  void end_backward(Run& run, Frame& frame) {
    if (!rows_.travel()) dropout_.backward_input(run, frame);
  }

  void finish(Run& run, Frame& frame) {
    if (rows_.travel()) {
      const TensorView own = rows_.own(run.shape, frame[found_]);
      run.device.copy(Lane::compute, frame.y.data, own.data, own.bytes());
    }
    if (positions_) run.ops.add_positions({frame.y, positions_->data, run.row_map()});
    dropout_.finish(run, frame);
  }

  void backward_input(Run& run, Frame& frame) {
    dropout_.backward_input(run, frame);
    const TensorView own = rows_.own(run.shape, frame[gradient_]), gradient = dropout_.gradient(frame);
    run.device.copy(Lane::compute, own.data, gradient.data, gradient.bytes());
  }

  void backward_weight(Run& run, Frame& frame) {
    const TensorView gradient =
        rows_.travel() ? rows_.all(run.shape, frame[gradient_]) : dropout_.gradient(frame);
    run.ops.embedding_backward_weight({run.tokens, gradient, table_.grad, first_id(), vocabulary()});
  }

  std::int64_t dim_;
  TensorRows rows_;
  OutputDropout dropout_;
  Parameter& table_;
  Buffer* positions_ = nullptr;
  Entry found_, gradient_;
  SegmentOf<EmbeddingLayer> lookup_;
  RowsSegment sum_;
  SegmentOf<EmbeddingLayer> finish_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-embedding", CARAVAN_VERSION, "Apache-2.0", "Token embedding",
               caravan::component<caravan::EmbeddingLayer>());
