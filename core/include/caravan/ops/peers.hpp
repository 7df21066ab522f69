#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "caravan/peer_meeting.hpp"
#include "caravan/tensor.hpp"

// Rows that go straight to the memory of other ranks (caravan/peer_window.hpp), and where they go. Arguments
// of operators; the conventions stand in caravan/ops.hpp. P ranks with L = E / P experts each. An operator
// that `waits_for` a meeting reads nothing that other ranks write before all have come; one that `comes_to` a
// meeting has written everything when it does. Windows of hosts have no such meetings, and their devices
// refuse them.
namespace caravan {

/// Rows travel between two ranks in so many parts, each of which may be read before the next has come: of n
/// rows, as the sender has them sorted, row k is in part ⌊k·C / n⌋. Results go back in the parts in which
/// their rows came.
inline constexpr std::int64_t kRowParts = 8;

/// The rows of one rank that travel, in the order in which they do: part by part, and within a part those for
/// every other rank in turn, k-th row by k-th row, so that the ways to all are busy at once. Both empty: any
/// order, and all is one part.
struct RowParts {
  TensorView order{};  ///< as long as there are rows at most; −1 behind the last
  TensorView ends{};   ///< [kRowParts] where in `order` each part ends

  bool empty() const { return ends.empty(); }
};

/// Where the rows of one micro-batch go, worked out by every rank from the same numbers. Received rows lie in
/// the order of experts, those of one expert in the order of ranks, those of one rank as it has them sorted.
/// Where a rank would receive more than M rows nothing goes anywhere: `to_rank`, `back_rank` and `arrived`
/// are −1, `offsets` 0.
struct PlaceRows {
  TensorView first_rows;  ///< [P, E+1] first row of each expert on each rank: Routing::offsets of all
  std::int64_t rank = 0;
  TensorView to_rank, to_row;  ///< [R] of this rank's sorted rows: where each goes, or −1: it has no row
  TensorView offsets;          ///< [L+1] first received row of each of this rank's experts
  TensorView kept_offsets{};   ///< [L+1] the same once more, or empty
  TensorView back_rank, back_row;  ///< [M] of received rows: whose it is, and which of its sorted rows; or −1
  TensorView arrived;              ///< [M] the row itself where one was received, else −1
  TensorView lost;                 ///< [1] 1 where some rank has no room, else 0
  /// [1] f64 or empty: where it is 0 it becomes the rows without room of all ranks, divided by P
  TensorView overflow{};
  /// [E+1] first rows of this rank, or empty. They go to their row of the tables of all ranks first, of which
  /// `first_rows` is one, and then the ranks meet.
  TensorView own_rows{};
  std::span<std::byte* const> tables{};  ///< [P]
  PeerMeeting meets_at{};
  RowParts sent_parts{}, received_parts{};  ///< of this rank's sorted rows and of received rows, or empty
};

/// regions[to_rank[r]] row to_row[r] = w·rows[choice_of[r] / K], w = weights[choice_of[r]] or 1. Where
/// `to_rank` or `choice_of` is −1, or the region null, nothing is written. Of any type where there are no
/// weights.
struct PushRows {
  TensorView rows;                      ///< [N, H]
  TensorView choice_of;                 ///< [R], or empty: row r itself, and K is 1
  std::int64_t top_k = 1;               ///< K
  TensorView weights;                   ///< [N, K] f32 or empty
  TensorView to_rank;                   ///< [R]
  TensorView to_row;                    ///< [R]
  std::span<std::byte* const> regions;  ///< [P] rows of H in the memory of each rank, contiguous
  std::int64_t region_rows = 0;         ///< that each region has room for
  std::int64_t rank = -1;               ///< this one, whose rows travel nowhere; −1: not said
  PeerMeeting comes_to{};
  RowParts parts{};  ///< of all rows that go to other ranks; for operators that push and read
};

/// A push, and what other ranks push here by the same operator, from where it lands to where it is read:
/// `take` after the meeting that `push` comes to. Nothing lands where `push` reads. Where both have parts
/// each part may be taken while the next travel, and `take` is of its parts alone.
struct ExchangeRows {
  PushRows push;
  PushRows take;  ///< rows as they are, of the type and width of the pushed ones
};

/// Results of experts go back to the ranks of their tokens, and there, after the meeting:
/// y[t] = base[t] + Σ_k w·result of row row_of[t, k], in the order of k. The result of sorted row s is
/// push.rows row to_row[s] where to_rank[s] is push.rank, NaN where that is −1, else it has landed as row s.
struct ReturnRows {
  PushRows push;               ///< as they are, those of other ranks: the region of this one is null
  TensorView landed;           ///< [R, H] of this rank
  TensorView to_rank, to_row;  ///< [R] of this rank's sorted rows: where they had gone
  TensorView row_of;           ///< [T, K]
  TensorView weights;          ///< [T, K] f32 or empty
  TensorView base;             ///< [T, H] or empty; may be `y`
  TensorView y;                ///< [T, H]
  /// Of the sorted rows that land, and [R] the choice t·K + k of each sorted row, or empty: with them, and
  /// those of `push`, each part may be summed while the next travel.
  RowParts parts{};
  TensorView choice_of{};
};

/// rows = NaN where lost[0] is not 0.
struct MarkLost {
  TensorView rows;  ///< [R, H]
  TensorView lost;  ///< [1]
  PeerMeeting waits_for{};
};

}  // namespace caravan
