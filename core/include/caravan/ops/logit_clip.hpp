#pragma once

#include <cstdint>
#include <string>

#include "caravan/ops/attention.hpp"
#include "caravan/tensor.hpp"

// MuonClip's clip of attention logits by the weights that make them. Arguments of operators; the conventions
// stand in caravan/ops.hpp. Source: Kimi K2's technical report (Moonshot 2025), section 2.1.
namespace caravan {

/// largest[h] = max(largest[h], scale·q·kᵀ) over all queries of head h and the keys that they see; query head
/// h reads key head ⌊h·G/A⌋. Logits that are not numbers do not count.
struct LargestLogits {
  TensorView q;        ///< [B, S, A, D]
  TensorView k;        ///< [B, Skv, G, D]
  TensorView largest;  ///< [A] f32, raised
  AttentionMask mask;
  float scale = 1;
};

/// With γ_h = min(1, limit / largest[h]) and γ_g the least of the query heads that read key head g: rows of
/// key head g times sqrt(γ_g), rows of query head h times γ_h / sqrt(γ_g), so that logits of head h change by
/// γ_h.
struct ClipHeads {
  enum class Of { queries, keys };
  Of of = Of::queries;
  TensorView master;  ///< f32, contiguous: elements [first, first + count) of the rows of all these heads
  TensorView weight;  ///< copy in the compute type to refresh, or empty when it is the master
  std::int64_t first = 0;
  std::int64_t head_elements = 1;  ///< D·H
  TensorView largest;              ///< [A] f32 of all query heads
  std::int64_t kv_heads = 1;       ///< G
  double limit = 0;
  TensorView proceed;  ///< [1] f32 on the device, or empty; NaN: nothing is changed

  std::int64_t heads() const { return of == Of::queries ? largest.extent(0) : kv_heads; }
};
/// Empty, or what does not fit together, or not to the elements of `master`.
std::string problem_with(const ClipHeads& args);

}  // namespace caravan
