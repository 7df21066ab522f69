#pragma once

#include "view.hpp"

namespace caravan::host {

/// to[n] += Σ_t x[t, n]
void add_column_sums(const Matrix& x, float* to);

}  // namespace caravan::host
