#pragma once

#include <vector>

#include "caravan/schedule.hpp"

// Passes: each a function from plan to plan. A training plan is lowered in the order in which they stand
// here.
namespace caravan {

/// Drops everything but F, I, W and B, so that a lowered plan can be lowered anew.
Plan compute_only(Plan plan);

/// Replaces an I that is directly followed by the W of the same stage and micro-batch by B.
Plan merge_backward(Plan plan);

/// Puts R before the first backward (I or B, overlapped or not) of each micro-batch on the stages that
/// recompute (`stages[s]`).
Plan place_recomputation(const Plan& plan, const std::vector<bool>& stages);

/// UNSHARD before the first use and RESHARD when a stage is not among the next `window` distinct stages of
/// its rank (PyTorch's rule, window 3); everything is resharded at the end.
Plan place_unshard(const Plan& plan, int window = 3);

/// REDUCE_GRAD right after the last W or B of each stage, unless the schedule has placed it.
Plan place_reduction(const Plan& plan);

/// SEND right after each action whose result another rank reads; the matching RECV goes to the end of what
/// the peer has been given so far, so the sender decides where it stands. All ranks then agree on one order
/// of messages: no deadlock, not even with blocking sends. ConfigError as check() when no order exists.
Plan place_communication(const Plan& plan);

}  // namespace caravan
