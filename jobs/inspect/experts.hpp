#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/inspect/recorded_routing.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// One layer of experts, as far as a checkpoint and its run know it.
struct ExpertLayer {
  std::int64_t layer = 0;
  std::string name;            ///< "layers.1.moe"
  std::vector<double> bias;    ///< an expert; empty when the checkpoint holds none
  std::vector<double> rms;     ///< of all weights of an expert
  std::vector<double> tokens;  ///< routed to an expert in the checkpoint's step; empty when unknown

  std::size_t experts() const;
};

/// How even the tokens of a layer are.
struct Balance {
  double least = 0, most = 0;  ///< share of the mean: 1 is even
  double variation = 0;        ///< standard deviation / mean
  std::size_t idle = 0;        ///< experts without a token
};
Balance balance_of(const std::vector<double>& tokens);

struct Experts {
  std::vector<ExpertLayer> layers;
  std::string counts_from;            ///< where token counts come from, or why there are none
  std::optional<RankRows> rank_rows;  ///< of the checkpoint's step, see RecordedRouting
  std::optional<DroppedRows> dropped;
};

/// Reads biases and expert weights from the checkpoint, and token counts of its step from the run's
/// metrics.jsonl: a checkpoint holds none, since they are zero again after each step.
Experts experts_of(const Subject& subject);

}  // namespace caravan::jobs
