#include <cmath>
#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/tensor_rows.hpp"
#include "caravan/token_rows.hpp"

namespace caravan {
namespace {

/// y[t] = table[tokens[t]] (+ sinusoid(position)), with dropout when asked. The first layer of a model: it
/// has no input, so its I is nothing and its W adds rows to the table's gradient. Tensor ranks divide the
/// vocabulary: each looks up the tokens that it has, and the sum is divided by rows. Where rows are fewer
/// bytes than the table's gradient, ranks of other tokens tell each other theirs, and each adds all of them
/// to the rows of the table that it keeps, in the order of ranks.
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
        others_(host),
        dropout_("tok_embeddings", ".dropout", static_cast<float>(config.get_float("dropout")), dim_),
        table_(host.parameters
                   ->declare(
                       ParameterSpec::whole("tok_embeddings.weight", {config.get_int("vocab_size"), dim_},
                                            ParameterKind::embedding, initial(config), {{0, MeshAxis::tp}}))
                   .offers_row_sums()
                   .offers_freezing()),
        lookup_(*this, "embedding",
                {&EmbeddingLayer::look_up, &EmbeddingLayer::end_backward, &EmbeddingLayer::backward_weight}),
        share_(*this),
        sum_("sum", RowsSegment::Forward::sum, rows_, dim_, {found_, gradient_}),
        finish_(*this, "finish", {&EmbeddingLayer::finish, &EmbeddingLayer::backward_input}),
        segments_{&lookup_},
        parameters_{&table_} {
    if (others_.travel()) segments_.push_back(&share_);
    if (rows_.travel()) segments_.push_back(&sum_);
    segments_.push_back(&finish_);
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
    const bool shares = table_.sums_rows() && shape.phase == Phase::train;
    const std::int64_t tokens = shares ? others_.memory_rows(shape) : 0;
    all_tokens_ = plan.add("tokens.all", DType::i32, {tokens}, Lifetime::backward_weight);
    all_gradients_ = plan.add("gradient.all", shape.compute, {tokens, dim_}, Lifetime::backward_weight);
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
  /// In I: what this rank's tokens add to the table, to the ranks of other tokens.
  class Share final : public Segment {
   public:
    explicit Share(EmbeddingLayer& layer) : layer_(layer) {}
    std::string_view name() const override { return "share"; }
    Lane lane() const override { return lane_of(MeshAxis::loss); }
    Directions directions() const override { return Directions::backward; }
    double sent_bytes(const BatchShape& shape) const override { return layer_.shared_bytes(shape); }
    void wait(Run& run) override { layer_.others_.wait(run.pending); }
    void forward(Run&, Frame&) override {}
    void backward_input(Run& run, Frame& frame) override { layer_.share(run, frame); }

   private:
    EmbeddingLayer& layer_;
  };

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
  }

  /// A lookup has no gradient of its input: it waits for what W reads.
  void end_backward(Run&, Frame&) {}

  void finish(Run& run, Frame& frame) {
    if (rows_.travel()) {
      const TensorView own = rows_.own(run.shape, frame[found_]);
      run.device.copy(Lane::compute, frame.y.data, own.data, own.bytes());
    }
    if (positions_) run.ops.add_positions({frame.y, positions_->data, run.row_map(), own_positions(run)});
    dropout_.finish(run, frame);
  }

  /// In decoding, where the token map does not say them.
  static TensorView own_positions(const Run& run) {
    const std::int64_t first = run.shape.first_row();
    return run.rows.positions.empty() ? TensorView{}
                                      : run.rows.positions.rows(first, first + run.shape.rows());
  }

  void backward_input(Run& run, Frame& frame) {
    dropout_.backward_input(run, frame);
    if (!rows_.travel()) return;
    const TensorView own = rows_.own(run.shape, frame[gradient_]), gradient = dropout_.gradient(frame);
    run.device.copy(Lane::compute, own.data, gradient.data, gradient.bytes());
  }

  /// Of the output, for each of this rank's tokens.
  TensorView gradient(const Run& run, const Frame& frame) const {
    return rows_.travel() ? rows_.all(run.shape, frame[gradient_]) : dropout_.gradient(frame);
  }

  double shared_bytes(const BatchShape& shape) const {
    const auto of_row = dim_ * static_cast<std::int64_t>(size_of(shape.compute)),
               of_token = static_cast<std::int64_t>(sizeof(std::int32_t));
    return table_.sums_rows() ? others_.sent_bytes(shape, of_row + of_token) : 0;
  }

  void share(Run& run, Frame& frame) {
    if (!table_.sums_rows()) return;
    Ticket tokens = others_.post_gather(run.device, run.tokens, frame[all_tokens_]);
    others_.wait(tokens);  // few bytes, and a visit has one exchange under way
    run.pending = others_.post_gather(run.device, gradient(run, frame), frame[all_gradients_]);
  }

  void backward_weight(Run& run, Frame& frame) {
    if (!table_.is_trained()) return;
    if (!table_.sums_rows()) return add(run, run.tokens, gradient(run, frame));
    for (int rank = 0; rank < others_.ranks(); ++rank)
      add(run, others_.of_rank(run.shape, frame[all_tokens_], rank),
          others_.of_rank(run.shape, frame[all_gradients_], rank));
  }

  void add(Run& run, TensorView tokens, TensorView gradient) {
    const std::int64_t first = first_id() + table_.gradient_rows().begin;
    run.ops.embedding_backward_weight({tokens, gradient, table_.grad, first, vocabulary()});
  }

  std::int64_t dim_;
  TensorRows rows_;
  TokenRows others_;
  OutputDropout dropout_;
  Parameter& table_;
  Buffer* positions_ = nullptr;
  Entry found_, gradient_, all_tokens_, all_gradients_;
  SegmentOf<EmbeddingLayer> lookup_;
  Share share_;
  RowsSegment sum_;
  SegmentOf<EmbeddingLayer> finish_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-embedding", CARAVAN_VERSION, "Apache-2.0", "Token embedding",
               caravan::component<caravan::EmbeddingLayer>());
