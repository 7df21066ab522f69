#pragma once

#include <cstdint>
#include <vector>

#include "caravan/device.hpp"
#include "jobs/bench/dispatch.hpp"

namespace caravan::jobs {

struct ChoiceSizes {
  std::int64_t tokens = 1, top_k = 1, experts = 1;
};

/// What a router would have written for a rank's tokens, in host memory. See Routing.
struct Choices {
  std::vector<std::int32_t> experts;    ///< [T, K], those of a token are different
  std::vector<float> weights;           ///< [T, K]
  std::vector<std::int32_t> offsets;    ///< [E+1]
  std::vector<std::int32_t> row_of;     ///< [T, K]
  std::vector<std::int32_t> choice_of;  ///< [T·K]
};
Choices make_choices(RoutingKind kind, const ChoiceSizes& sizes, int rank);

/// Of a normal distribution, other ones on each rank.
std::vector<float> random_numbers(std::int64_t count, int rank);
/// Rounds to the type of `to` and copies.
void upload_numbers(Device& device, const std::vector<float>& numbers, const TensorView& to);

}  // namespace caravan::jobs
