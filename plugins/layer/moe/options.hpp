#pragma once

#include <cstdint>
#include <string>

#include "caravan/config.hpp"
#include "caravan/dispatch.hpp"
#include "caravan/mesh.hpp"

namespace caravan::moe {

/// What a job says about one mixture-of-experts layer. ConfigError when top_k, groups and experts do not fit
/// together, or experts not with the ranks that divide them.
struct Options {
  /// `mesh` may be null: one rank.
  Options(const Config& config, const Mesh* mesh);
  std::string name;
  std::int64_t dim, experts, hidden, shared_hidden;
  RouterRule rule;
  ScoreSide score_side;
  bool noisy, centre;
  float norm_eps, bias_rate, balance_loss, dropout, init_std, out_std;
};

}  // namespace caravan::moe
