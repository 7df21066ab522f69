#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/peer_meeting.hpp"

namespace caravan {

/// Memory of the ranks of a group that all of them read and write: a part of each rank, all of one size.
/// What one writes to another's part is there for the other after both have met.
class PeerWindow {
 public:
  virtual ~PeerWindow() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Of each part.
  virtual std::size_t bytes() const = 0;
  /// The part of `rank` as this process sees it, 64-byte aligned; this rank's own among them.
  virtual std::byte* part(int rank) const = 0;
  /// [collective, in one order with every other meeting of this window] Afterwards, in the order of the
  /// compute lane, everything that any rank wrote before it came is visible. CommError names the ranks that
  /// have not come after the seconds that the window was opened with: now, or on a device that the host does
  /// not wait for, when it next does; what its lane does until then may read anything.
  virtual void meet() = 0;
  /// The next meeting, for operators of a device that come to it and wait for it in place of meet(): every
  /// rank comes to the meetings of a window in one order, and waits for each after it came. Where hosts meet:
  /// none.
  virtual PeerMeeting next_meeting() { return {}; }
};

/// A rank at a meeting.
struct AtMeeting {
  std::string group;
  int rank = 0;
  std::uint64_t number = 0;  ///< of the meeting, from 1
  double timeout_s = 0;
};
/// "rank 0 waits for rank 2 at meeting 7 of group 'ep' …", with ranks of the world.
std::string missing_text(const AtMeeting& at, const std::vector<int>& missing);

}  // namespace caravan
