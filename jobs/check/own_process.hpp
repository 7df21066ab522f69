#pragma once

#include <functional>
#include <string>

namespace caravan::jobs {

/// What went wrong with an action in a process of its own, which it may end; empty: nothing. The process is a
/// copy of this one that has this thread alone, so the action may neither use other threads nor other ranks.
std::string problem_in_own_process(const std::function<void()>& action);

}  // namespace caravan::jobs
