#pragma once

#include <vector>

#include "caravan/schedule.hpp"
#include "core/plan/placement.hpp"

namespace caravan {

inline constexpr int kNoPlace = -1;

/// Places that the micro-batches of one stage take in turn, found before step 0.
struct PlaceMap {
  int count = 0;
  std::vector<int> of;  ///< [microbatch] kNoPlace where none is needed
};

/// Static memory plan of one stage on its rank.
struct StagePlaces {
  PlaceMap stash;  ///< activations: from F (where it recomputes: from R) to the end of B or W
  PlaceMap input;  ///< stage input: from RECV_F, or the F before it on this rank, to the end of B or W
  PlaceMap
      gradient;  ///< gradient of its output: from RECV_B, or the backward after it on this rank, to B or W
  bool splits = false;      ///< some I and W are apart
  bool recomputes = false;  ///< F's activations are not kept
  bool is_last = false;     ///< of the pipeline
  bool overlaps = false;    ///< a forward of it runs between the segments of its backward

  /// The set of activations that F writes. A stage that recomputes throws F's activations away, so all its F
  /// write the one set behind those that R fills. On the last stage F is not run at all (kNoPlace): nobody
  /// waits for its output, and R follows.
  int forward_set(int microbatch) const {
    if (!recomputes) return stash.of[static_cast<std::size_t>(microbatch)];
    return is_last ? kNoPlace : stash.count;
  }
  /// Sets of activations that the stage needs.
  int sets() const { return stash.count + (recomputes && !is_last ? 1 : 0); }
};

/// Walks a lowered row (with RECV, and R where stages recompute) and hands out places, lowest free first. A
/// row without backwards (evaluation) needs a place from F to F only. `stage` must be on that rank.
StagePlaces assign_places(const std::vector<Step>& row, int stage, int microbatches,
                          const Placement& placement);

}  // namespace caravan
