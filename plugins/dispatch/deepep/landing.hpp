#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "caravan/peer_window.hpp"

namespace caravan::deepep {

/// Where the ranks of an expert group write for each other: a window with two areas on each rank, which
/// exchanges take in turn, so that one may still be read while the next arrives. An area begins with the
/// routers' table, and has rows behind it. All ranks begin and end their exchanges in one order.
class Landing {
 public:
  /// Borrows both. A group of one rank writes to memory of its device.
  Landing(Device& device, Communicator& ranks, double timeout_s)
      : device_(device), ranks_(ranks), timeout_s_(timeout_s) {}

  /// [collective] At least so many bytes for a table and for rows in each area. Only while nothing is under
  /// way.
  void reserve(std::size_t table_bytes, std::size_t rows_bytes);

  /// The area of a new exchange. With `ranks_meet` the caller lets all ranks meet before anybody writes rows;
  /// otherwise they meet here where a rank might still read what came to the area before.
  int begin(bool ranks_meet);
  /// The area is free again, once its rows have been read.
  void end(int area);

  /// [collective] A meeting that the operator comes to which writes last, and the one waits for which reads
  /// first; none where hosts meet, or where there is nobody to meet.
  PeerMeeting next_meeting();
  /// [collective] What was written before is there for its receivers afterwards. At a meeting of operators
  /// the next one waits; where it is none the ranks meet here.
  void meet(const PeerMeeting& meeting = {});

  /// Where the table, or the rows, of an area begin on this rank.
  std::byte* own_table(int area) const { return in_area(window_->rank(), area); }
  std::byte* own_rows(int area) const { return own_table(area) + table_bytes_; }
  /// What `own` is on this rank, on every rank.
  std::vector<std::byte*> everywhere(const std::byte* own) const;

  static constexpr std::size_t kAreas = 2;

 private:
  struct Area {
    bool is_busy = false;
    std::uint64_t free_at = 0;  ///< the meeting that no rank comes to before it has read what was here
  };

  std::byte* in_area(int rank, int area) const {
    return window_->part(rank) + static_cast<std::size_t>(area) * (table_bytes_ + rows_bytes_);
  }

  Device& device_;
  Communicator& ranks_;
  double timeout_s_;
  std::unique_ptr<PeerWindow> window_;
  std::size_t table_bytes_ = 0, rows_bytes_ = 0;
  std::array<Area, kAreas> areas_;
  std::size_t next_ = 0;
  std::uint64_t come_ = 0;  ///< the last meeting of the window that this rank has come to
  std::uint64_t met_ = 0;   ///< and the last one where it has waited for the others
};

}  // namespace caravan::deepep
