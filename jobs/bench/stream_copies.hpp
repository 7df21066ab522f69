#pragma once

#include <cstddef>

#include "jobs/bench/vector_levels.hpp"

namespace caravan::jobs {

/// Copies `count` floats, a multiple of 16, between blocks that begin at multiples of 64 bytes, past the
/// caches where the level has stores for that.
void copy_past_caches(VectorLevel level, float* to, const float* from, std::size_t count);

/// to += from
void add_stream(VectorLevel level, float* to, const float* from, std::size_t count);

}  // namespace caravan::jobs
