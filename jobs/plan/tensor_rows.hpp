#pragma once

#include <string>

#include "caravan/layer.hpp"
#include "jobs/plan/batch_share.hpp"

namespace caravan::jobs {

/// ConfigError where a tensor rank would have no row between layers: context ranks may differ by a token of
/// each sequence, and all refuse alike. `key` is what the user calls the number of tensor ranks.
void check_tensor_rows(const BatchShape& shape, const BatchShare& share, const std::string& key);

}  // namespace caravan::jobs
