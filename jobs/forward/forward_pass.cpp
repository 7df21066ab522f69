#include "jobs/forward/forward_pass.hpp"

#include <algorithm>
#include <optional>

#include "caravan/ops.hpp"
#include "jobs/forward/pieces.hpp"
#include "jobs/forward/rotation_rows.hpp"

namespace caravan::jobs {
namespace {

/// One piece at a time through one stash; results land in full-sized host buffers, zero elsewhere, and are
/// summed over the ranks at the end: every element comes from one rank. Context and tensor ranks take the
/// same pieces, context ranks their blocks of each.
class Pass {
 public:
  Pass(Device& device, ModelInstance& model, Mesh& mesh, const Sequences& sequences, Gradients gradients)
      : device_(device),
        model_(model),
        mesh_(mesh),
        sequences_(sequences),
        pieces_(pieces_of(sequences, model.stage().chunk_size())),
        rows_(most_rows(pieces_, filled_to(mesh))),
        own_(own_rows()),
        gradients_(gradients),
        stash_(device, layout(), 1),
        executor_(device, model.stage(), stash_),
        memory_(device, static_cast<std::size_t>(own_.length() * vocab()) * sizeof(float) + 64, "logits"),
        logits_(memory_.take(DType::f32, {own_.length(), vocab()})) {
    answers_.logits.resize(static_cast<std::size_t>(sequences.count * sequences.length * vocab()));
    valid_ = std::count_if(sequences.labels.begin(), sequences.labels.end(),
                           [](auto l) { return l != kIgnoredLabel; });
    if (!sequences.positions.empty()) rotations_.emplace(device, model.parameters());
    find_routers();
  }

  /// Ranks that divide the experts all run as often: one without a piece runs nothing.
  void run_share() {
    const auto ranks = static_cast<std::size_t>(mesh_.degree(MeshAxis::dp_shard)),
               rank = static_cast<std::size_t>(mesh_.coordinate(MeshAxis::dp_shard));
    for (std::size_t round = 0; round * ranks < pieces_.size(); ++round) {
      const std::size_t index = round * ranks + rank;
      if (index < pieces_.size())
        run(pieces_[index]);
      else if (mesh_.degree(MeshAxis::ep) > 1)
        run(Piece{});
    }
  }

  Answers finish(Communicator& world) {
    device_.copy_to_host(Lane::compute, &answers_.loss, executor_.sums().loss.data, sizeof answers_.loss);
    device_.synchronize();
    world.all_reduce(TensorView(&answers_.loss, DType::f64, {1}), ReduceOp::sum);
    answers_.loss /= static_cast<double>(std::max<std::int64_t>(valid_, 1));
    sum(world, answers_.logits);
    for (Answers::Router& router : answers_.routers) sum(world, router.scores);
    if (gradients_ == Gradients::of_mean_loss) sum_gradients();
    return std::move(answers_);
  }

 private:
  std::int64_t vocab() const { return model_.stage().vocab_size(); }

  static std::int64_t most_rows(const std::vector<Piece>& pieces, std::int64_t multiple) {
    std::int64_t most = 0;
    for (const Piece& piece : pieces) most = std::max(most, piece.rows());
    return (most + multiple - 1) / multiple * multiple;
  }

  TokenMap own_rows() const {
    const int ranks = mesh_.degree(MeshAxis::cp);
    return ranks == 1 ? TokenMap::whole(0, rows_)
                      : TokenMap::context(0, rows_, ranks, mesh_.coordinate(MeshAxis::cp));
  }

  StashLayout layout() {
    const Phase phase = gradients_ == Gradients::none ? Phase::evaluate : Phase::train;
    const BatchShape shape{1, rows_, phase, {}, model_.compute()};
    return StashLayout(model_.stage().layers(), shape.divided_over(&mesh_), StashMode::fused,
                       model_.stage().width());
  }

  /// Over the ranks that hold the same slices.
  void sum_gradients() {
    std::vector<Parameter*> all;
    for (const auto& parameter : model_.parameters().parameters()) all.push_back(parameter.get());
    if (model_.repeated()) model_.repeated()->sum(all);
    for (const Parameter* parameter : all) {
      const bool is_expert = parameter->spec().kind == ParameterKind::expert;
      mesh_.group(is_expert ? MeshAxis::efsdp : MeshAxis::fsdp)
          .tensors.all_reduce(parameter->grad, ReduceOp::sum);
    }
  }

  void find_routers() {
    for (std::size_t layer = 0; layer < model_.stage().layers().size(); ++layer) {
      const TensorView logits = stash_.find(layer, "router.logits", 0);
      if (logits.empty()) continue;
      layers_.push_back(layer);
      const auto elements = static_cast<std::size_t>(sequences_.count * sequences_.length * logits.extent(1));
      answers_.routers.push_back(
          {model_.stage().name(layer), logits.extent(1), std::vector<float>(elements)});
    }
  }

  /// Rows without a token hold token 0, which nobody sees, and predict nothing.
  void run(const Piece& piece) {
    const auto rows = static_cast<std::size_t>(own_.length());
    std::vector<std::int32_t> tokens(rows, 0), labels(rows, kIgnoredLabel);
    for_each_row(piece, [&](std::int64_t row, std::int64_t token) {
      tokens[static_cast<std::size_t>(row)] = sequences_.tokens[static_cast<std::size_t>(token)];
      labels[static_cast<std::size_t>(row)] = sequences_.labels[static_cast<std::size_t>(token)];
    });
    const std::vector<std::int32_t> documents = documents_of(piece);
    MicroBatch batch;
    batch.tokens = tokens;
    batch.labels = labels;
    batch.documents = documents;
    batch.token_map = positions_of(piece, own_);
    batch.logits = logits_;
    if (rotations_) rotations_->place(piece.begin, piece.rotations);
    execute(batch);
    keep(piece);
    if (rotations_) rotations_->restore();
  }

  void execute(const MicroBatch& batch) {
    std::vector<Step> row{{{0, ActionKind::forward, 0}, {}}};
    if (gradients_ == Gradients::of_mean_loss) row.push_back({{0, ActionKind::backward, 0}, {}});
    StepScales scales;
    scales.gradient_scale = static_cast<float>(1.0 / static_cast<double>(std::max<std::int64_t>(valid_, 1)));
    executor_.run(row, std::span(&batch, 1), scales, nullptr);
  }

  /// Of all rows, on whichever rank: attended tokens are one document, everything else another. Empty where
  /// no row before the last token is without one.
  std::vector<std::int32_t> documents_of(const Piece& piece) const {
    if (!piece.has_holes && piece.lead == 0) return {};
    std::vector<std::int32_t> documents(static_cast<std::size_t>(rows_), 1);
    for (std::int64_t at = 0; at < piece.length; ++at)
      if (sequences_.attends(piece.sequence, piece.begin + at))
        documents[static_cast<std::size_t>(piece.lead + at)] = 0;
    return documents;
  }

  /// Calls visit(row, token in [0, B·T)) for the tokens of a piece that this rank has.
  template <class Visit>
  void for_each_row(const Piece& piece, const Visit& visit) const {
    for (std::int64_t row = 0; row < own_.length(); ++row) {
      const std::int64_t at = own_.position(row) - piece.lead;
      if (at >= 0 && at < piece.length) visit(row, piece.sequence * sequences_.length + piece.begin + at);
    }
  }

  /// The same for those that are not masked.
  template <class Visit>
  void for_each_token(const Piece& piece, const Visit& visit) const {
    for_each_row(piece, [&](std::int64_t row, std::int64_t token) {
      if (sequences_.attends(token)) visit(row, token);
    });
  }

  void keep(const Piece& piece) {
    if (mesh_.coordinate(MeshAxis::tp) == 0) keep_logits(piece);
    for (std::size_t router = 0; router < layers_.size(); ++router)
      keep_scores(answers_.routers[router], layers_[router], piece);
  }

  void keep_logits(const Piece& piece) {
    std::vector<float> logits(static_cast<std::size_t>(logits_.count()));
    device_.copy_to_host(Lane::compute, logits.data(), logits_.data, logits_.bytes());
    device_.synchronize();
    for_each_token(piece, [&](std::int64_t row, std::int64_t token) {
      std::copy_n(logits.begin() + row * vocab(), vocab(), answers_.logits.begin() + token * vocab());
    });
  }

  void keep_scores(Answers::Router& router, std::size_t layer, const Piece& piece) {
    const TensorView experts = stash_.find(layer, "routing.experts", 0),
                     weights = stash_.find(layer, "routing.weights", 0);
    std::vector<std::int32_t> chosen(static_cast<std::size_t>(experts.count()));
    std::vector<float> scores(chosen.size());
    device_.copy_to_host(Lane::compute, chosen.data(), experts.data, experts.bytes());
    device_.copy_to_host(Lane::compute, scores.data(), weights.data, weights.bytes());
    device_.synchronize();
    const std::int64_t top_k = experts.extent(1), first = stash_.layout().shape().first_row();
    for_each_token(piece, [&](std::int64_t row, std::int64_t token) {
      const std::int64_t own = row - first;
      if (own < 0 || own >= experts.extent(0)) return;
      for (std::int64_t k = own * top_k; k < (own + 1) * top_k; ++k) {
        const auto choice = static_cast<std::size_t>(k);
        router.scores[static_cast<std::size_t>(token * router.experts + chosen[choice])] = scores[choice];
      }
    });
  }

  static void sum(Communicator& world, std::vector<float>& values) {
    world.all_reduce(TensorView(values.data(), DType::f32, {static_cast<std::int64_t>(values.size())}),
                     ReduceOp::sum);
  }

  Device& device_;
  ModelInstance& model_;
  Mesh& mesh_;
  const Sequences& sequences_;
  std::vector<Piece> pieces_;
  std::int64_t rows_;  ///< of every run: as many as the longest piece has
  TokenMap own_;       ///< which of them are here
  Gradients gradients_;
  Stash stash_;
  Executor executor_;
  Arena memory_;
  TensorView logits_;
  std::optional<RotationRows> rotations_;  ///< where positions are given
  Answers answers_;
  std::vector<std::size_t> layers_;
  std::int64_t valid_ = 0;
};

}  // namespace

std::int64_t filled_to(const Mesh& mesh) {
  const std::int64_t context = mesh.degree(MeshAxis::cp), blocks = context > 1 ? 2 * context : 1;
  return blocks * mesh.degree(MeshAxis::tp);
}

std::int64_t positions_on(const Mesh& mesh, const Sequences& sequences) {
  return positions_for(sequences) + filled_to(mesh) - 1;
}

Answers answer(Device& device, ModelInstance& model, Mesh& mesh, Communicator& world,
               const Sequences& sequences, Gradients gradients) {
  if (gradients == Gradients::of_mean_loss) model.parameters().start_gradients(device);
  Pass pass(device, model, mesh, sequences, gradients);
  pass.run_share();
  if (gradients == Gradients::of_mean_loss) model.parameters().finish_gradients(device);
  return pass.finish(world);
}

}  // namespace caravan::jobs
