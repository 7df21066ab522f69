#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caravan::jobs {

/// Where a checkpoint keeps the weights.
inline constexpr std::string_view kModelRoot = "/model/";
inline constexpr std::string_view kStateRoot = "/state/";

/// 3 of "layers.3.moe.experts.w1"; nothing for a name outside of layers.
std::optional<std::int64_t> layer_of(std::string_view name);

}  // namespace caravan::jobs
