#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/peer_window.hpp"

namespace caravan::deepep {

/// Where the ranks of an expert group write rows for each other: a window with two areas on each rank,
/// which exchanges take in turn, so that one may still be read while the next arrives. All ranks begin
/// and end their exchanges in one order.
class Landing {
 public:
  /// Borrows `ranks`.
  Landing(Communicator& ranks, double timeout_s) : ranks_(ranks), timeout_s_(timeout_s) {}

  /// [collective] At least so many bytes in each area. Only while nothing is under way.
  void reserve(std::size_t bytes);

  /// The area of a new exchange. With `ranks_meet` the caller lets all ranks meet before anybody writes
  /// rows; otherwise they meet here where a rank might still read what came to the area before.
  int begin(bool ranks_meet);
  /// The area is free again, once its rows have been read.
  void end(int area);
  /// [collective] What was written before is there for its receivers afterwards.
  void meet();

  /// `offset` bytes into an area of each rank.
  std::vector<std::byte*> at(int area, std::size_t offset) const;
  /// The area of this rank.
  std::byte* own(int area) const;

  static constexpr std::size_t kAreas = 2;

 private:
  struct Area {
    bool is_busy = false;
    std::uint64_t ended_at = 0;  ///< meetings until it was last free
  };

  Communicator& ranks_;
  double timeout_s_;
  std::unique_ptr<PeerWindow> window_;
  std::size_t area_bytes_ = 0;
  std::array<Area, kAreas> areas_;
  std::size_t next_ = 0;
  std::uint64_t meetings_ = 1;  ///< a fresh window is free everywhere
};

}  // namespace caravan::deepep
