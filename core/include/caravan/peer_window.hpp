#pragma once

#include <cstddef>
#include <cstdint>

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
  /// have not come after the seconds that the window was opened with.
  virtual void meet() = 0;
};

}  // namespace caravan
