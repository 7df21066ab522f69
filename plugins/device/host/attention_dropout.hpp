#pragma once

#include <cstdint>

#include "attention_call.hpp"
#include "attention_pack.hpp"

namespace caravan::host {

struct KeyRange {
  std::int64_t begin, end;
};

/// factors[key][query] = what dropout multiplies that probability by; rows kTileQueries apart.
void dropout_tile(const AttentionCall& call, const QueryRows& which, const KeyRange& keys, float* factors);
/// The same, multiplied into a tile of probabilities of kQueries queries.
void drop_tile(const AttentionCall& call, const QueryRows& which, const KeyRange& keys, float* tile);

}  // namespace caravan::host
