#pragma once

#include <vector>

#include "caravan/schedule.hpp"

namespace caravan {

/// Static memory plan of one stage on one rank: each micro-batch's place, found before step 0.
struct StageSlots {
  int stages = 0, inputs = 0, gradients = 0;  ///< places of each kind
  std::vector<int> stash;        ///< [microbatch] activations: from F (with recomputation: from R) to B or W
  std::vector<int> first_stash;  ///< [microbatch] with recomputation: during F alone; else as `stash`
  std::vector<int> input;     ///< [microbatch] stage input: from RECV_F or the local F before it, to B or W
  std::vector<int> gradient;  ///< [microbatch] output gradient: from RECV_B or the local I or B, to B or W
};

}  // namespace caravan
