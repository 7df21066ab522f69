#pragma once

#include "jobs/bench/peak.hpp"
#include "jobs/bench/vector_levels.hpp"

namespace caravan::jobs {

/// The best rate of multiply-adds on registers of this thread, of several numbers of independent chains and
/// all widths of vectors up to `level`.
FmaPeak fma_peak_of_thread(VectorLevel level);

}  // namespace caravan::jobs
