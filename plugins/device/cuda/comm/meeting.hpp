#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "caravan/ops/peers.hpp"
#include "caravan/peer_meeting.hpp"

namespace caravan::cuda {

inline constexpr int kMostMeeting = 64;          ///< ranks
inline constexpr std::size_t kNumberBytes = 64;  ///< of one rank's number: a line of its own
/// A rank comes to a meeting in so many parts, as rows arrive. What it writes counts the parts of all
/// meetings, so that one who comes at once has come to every part.
inline constexpr int kMeetingParts = static_cast<int>(kRowParts);
static_assert(kMeetingParts * sizeof(unsigned) <= kNumberBytes);

/// A meeting of ranks on their GPUs.
struct Meeting {
  std::byte* numbers[kMostMeeting];  ///< of each rank: at [from] the parts that `from` has come to
  std::uint64_t* is_over = nullptr;  ///< on this GPU: not 0 once a rank was missing; nobody waits any more
  /// On this GPU, of each part: those who have written theirs; 0 between meetings.
  unsigned* tickets = nullptr;
  std::uint64_t* readers = nullptr;  ///< on this GPU: who reads the rows of the last meeting (parts.cuh)
  int rank = 0, ranks = 1;
  std::uint64_t number = 0;      ///< of this meeting, from 1; 0: none
  std::uint64_t timeout_ns = 0;  ///< after which a rank is missing
  std::uint64_t* missing = nullptr;
};

/// For kernels that come or wait themselves (meeting.cuh).
inline Meeting meeting_of(const PeerMeeting& args) {
  if (!args) return {};
  Meeting meeting = *static_cast<const Meeting*>(args.window);
  meeting.number = args.number;
  return meeting;
}

/// Posts it: the stream goes on when all ranks have come, or when some are missing, whose bits are then set.
void post_meeting(const Meeting& meeting, cudaStream_t stream);

}  // namespace caravan::cuda
