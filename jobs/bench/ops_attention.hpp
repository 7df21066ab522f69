#pragma once

#include "jobs/bench/ops_cases.hpp"

// What the rows of attention have in common.
namespace caravan::jobs {

/// Forward, of so many pairs of a query and a key that it sees: 2 products of head_dim for each pair and
/// head.
double attention_flops(const OpsShape& shape, double pairs);
float attention_scale(const OpsShape& shape);
/// What follows this forward, which is run: everything but dq, dk and dv.
AttentionBackward backward_of(BenchMemory& memory, const AttentionForward& forward);

}  // namespace caravan::jobs
