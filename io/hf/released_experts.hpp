#pragma once

#include <array>
#include <utility>

namespace caravan::io {

/// Keys of a model that formats of released models do not have, and what experts do there.
inline constexpr std::array<std::pair<const char*, const char*>, 7> kReleasedExperts{
    {{"score", "sigmoid"},
     {"score_on", "input"},
     {"normalise", "false"},
     {"groups", "0"},
     {"shared_experts", "1"},
     {"noisy", "false"},
     {"bias_in_score", "false"}}};

}  // namespace caravan::io
