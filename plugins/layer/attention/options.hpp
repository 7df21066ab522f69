#pragma once

#include <cstdint>
#include <optional>

#include "caravan/config.hpp"
#include "caravan/mesh.hpp"
#include "plugins/layer/attention/rotary.hpp"

namespace caravan::attention {

/// What a job says about one attention layer. ConfigError when heads do not fit together, or not with the
/// ranks that divide them.
struct Options {
  /// `mesh` may be null: one rank.
  Options(const Config& config, const Mesh* mesh);
  std::int64_t dim, heads, kv_heads, head_dim, positions, chunk;
  float norm_eps, dropout, attention_dropout, init_std, out_std;
  bool rope, qk_norm;
  double rope_theta;
  std::optional<RotaryScaling> rope_scaling;
  float temperature_scale = 0, temperature_floor = 0;
  /// Of all tensor ranks; what is here of them is in Heads.
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// The heads of one rank. Where tensor ranks are more than key/value heads, several have the same of these.
struct Heads {
  Heads(const Options& options, const Mesh* mesh);
  std::int64_t first;  ///< of all query heads, the first that is here
  std::int64_t queries, keys, dim;
  std::int64_t width() const { return (queries + 2 * keys) * dim; }
};

}  // namespace caravan::attention
