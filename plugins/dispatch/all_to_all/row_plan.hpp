#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace caravan::all_to_all {

/// Who sends how many rows to whom for one micro-batch, worked out by every rank of the group from the same
/// numbers. Rows travel sorted by expert, so that a rank's are one block for each receiver. They *arrive*
/// sender after sender and are *received* in the order of experts, of one expert by sender.
class RowPlan {
 public:
  struct Group {
    int ranks = 1, rank = 0;
    std::int64_t experts = 1;        ///< E, which `ranks` divides
    std::int64_t most_received = 0;  ///< rows that a rank has memory for
  };
  /// `first_rows`: [ranks, E+1] where the rows of each expert begin on each rank, see Routing::offsets. Where
  /// some rank has no room for what would come to it nothing travels at all: the step fails whatever else
  /// arrives.
  void make(const Group& group, std::span<const std::int32_t> first_rows);

  /// Rows to and from each rank.
  std::span<const std::int64_t> sent() const noexcept { return sent_; }
  std::span<const std::int64_t> received() const noexcept { return received_; }
  std::int64_t rows_sent() const noexcept { return rows_sent_; }
  std::int64_t rows_received() const noexcept { return static_cast<std::int64_t>(arrival_of_.size()); }
  /// Rows that ranks of the group would have had to receive beyond their memory, of all together.
  std::int64_t without_room() const noexcept { return without_room_; }
  /// Nothing travels.
  bool is_overfull() const noexcept { return is_overfull_; }

  /// [L+1] first received row of each of this rank's experts.
  std::span<const std::int32_t> offsets() const noexcept { return offsets_; }
  /// [rows_received] as which row a received one arrived.
  std::span<const std::int32_t> arrival_of() const noexcept { return arrival_of_; }
  /// [rows_received] which received row the one that arrived so is.
  std::span<const std::int32_t> place_of() const noexcept { return place_of_; }

 private:
  bool fits(const Group& group, std::span<const std::int32_t> first_rows);
  void order(const Group& group, std::span<const std::int32_t> first_rows);

  std::vector<std::int64_t> sent_, received_;
  std::vector<std::int32_t> offsets_, arrival_of_, place_of_;
  std::int64_t rows_sent_ = 0, without_room_ = 0;
  bool is_overfull_ = false;
};

}  // namespace caravan::all_to_all
