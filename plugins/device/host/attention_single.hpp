#pragma once

#include <vector>

#include "attention_call.hpp"
#include "memory.hpp"
#include "parallel.hpp"

namespace caravan::host {

/// Up to so many queries, as in decoding, a block of queries across the lanes would be mostly empty.
inline constexpr std::int64_t kSingleQueries = 4;

/// Attention a query at a time, keys and values where they lie: decoding reads each of them once.
void attention_single(const AttentionCall& call, const HeadRows& out, const Team& team,
                      std::vector<Workspace>& workspaces);

}  // namespace caravan::host
