#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "caravan/config.hpp"
#include "caravan/dispatch.hpp"
#include "caravan/low_rank.hpp"
#include "caravan/mesh.hpp"

namespace caravan::moe {

/// What a job says about one mixture-of-experts layer. ConfigError when top_k, groups and experts do not fit
/// together, or experts not with the ranks that divide them.
struct Options {
  /// `mesh` may be null: one rank.
  Options(const Config& config, const Mesh* mesh);
  /// The most choices of a sequence of so many tokens that an expert takes, 0: all. MaxText's rule:
  /// int(max(ceil(S·K / E)·c, c)).
  std::int64_t capacity(std::int64_t sequence_length) const;

  std::string name;
  bool cuts_experts;  ///< tensor ranks divide the matrices of an expert, not their rows
  std::int64_t dim, experts, hidden, shared_hidden;
  RouterRule rule;
  std::optional<LowRankRule> lora;
  ScoreSide score_side;
  bool noisy, centre;
  std::optional<double> capacity_factor;  ///< none: every expert takes all
  float norm_eps, bias_rate, balance_loss, dropout, init_std, out_std;
};

}  // namespace caravan::moe
