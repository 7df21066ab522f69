#pragma once

#include "caravan/ops/linear.hpp"
#include "gemm.hpp"
#include "parallel.hpp"
#include "view.hpp"

namespace caravan::host {

inline Result result_of(Accumulate accumulate) {
  return accumulate == Accumulate::add ? Result::accumulate : Result::replace;
}

/// to[n] += Σ_t x[t, n]
void add_column_sums(const Team& team, const Matrix& x, float* to);

}  // namespace caravan::host
