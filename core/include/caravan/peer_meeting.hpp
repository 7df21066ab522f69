#pragma once

#include <cstdint>

namespace caravan {

/// A meeting of the ranks of a window (caravan/peer_window.hpp) that operators come to and wait for by
/// themselves, in the order of the compute lane: no call of its own, and no host. Of number 0 it is none.
struct PeerMeeting {
  std::uint64_t number = 0;      ///< among those of its window, from 1
  const void* window = nullptr;  ///< what the operators of the window's device know it by

  explicit operator bool() const noexcept { return number != 0; }
};

}  // namespace caravan
