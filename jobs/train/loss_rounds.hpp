#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/run/whereabouts.hpp"
#include "jobs/plan/stage_memory.hpp"
#include "jobs/train/batches.hpp"

namespace caravan::jobs {

/// What was measured of labels that count, summed.
struct LossSums {
  double loss = 0;      ///< nats
  double overflow = 0;  ///< rows that a dispatcher had no room for
  double tokens = 0;    ///< labels
  double bytes = 0;     ///< that these stand for, where it is known
};

/// Losses of data that is not trained on: no dropout, no counting, no gradients. Micro-batches of all data
/// ranks together are numbered, and measured in rounds: one of every data rank, or with pipelines as many as
/// the pipeline has ranks. Every number of ranks measures the same samples.
class LossRounds {
 public:
  struct Parts {
    Device& device;
    ModelInstance& model;  ///< allocated
    Mesh& mesh;
    const RankPlan& plan;                         ///< forwards alone
    BatchShape shape;                             ///< of this rank; its phase does not matter
    BatchShare share;                             ///< of one micro-batch of every data rank
    std::int64_t vocab_size;                      ///< of the whole model
    std::span<const std::int32_t> token_bytes{};  ///< [V], or empty: not known
    Whereabouts* whereabouts = nullptr;           ///< told every action; null: nobody watches
  };
  /// Takes memory for one forward. Borrows `source` and what the parts refer to.
  LossRounds(const Parts& parts, DataSource& source);

  /// Of all data ranks together.
  std::int64_t microbatches_a_round() const;
  /// The first sample that this rank measures in a round.
  std::int64_t first_sample(std::int64_t round) const;
  /// Forgets what was measured.
  void start();
  /// [every rank] Measures what of a round is below `batches`, the number of micro-batches in all. This rank
  /// may have fewer than others, or none.
  void run(std::int64_t round, std::int64_t batches);
  /// This rank's part, since the start: over all ranks each token is in one part.
  LossSums own();
  /// [every rank] Adds up values of all ranks, in place.
  void sum_everywhere(std::span<double> values);

 private:
  /// A micro-batch without a label. A rank that has no samples left walks over it where the others need it:
  /// its stretches of the weights, or its experts.
  struct Nothing {
    Nothing(const Parts& parts, bool has_documents);
    MicroBatch view() const {
      return {.tokens = tokens, .labels = labels, .documents = documents, .token_map = token_map};
    }
    std::vector<std::int32_t> tokens, labels, documents;
    TokenMap token_map;
  };
  std::int64_t measured_by(int rank, std::int64_t round, std::int64_t batches) const;
  void count(std::span<const MicroBatch> batches);

  Parts parts_;
  BatchReader reader_;
  StageMemory memory_;
  Executor executor_;
  Nothing nothing_;
  double tokens_ = 0, bytes_ = 0;  // of this rank
};

}  // namespace caravan::jobs
