#include "jobs/forward/pieces.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "caravan/check.hpp"
#include "caravan/log.hpp"

namespace caravan::jobs {
namespace {

/// Bounds the table of rotations.
constexpr std::int64_t kMostPositions = 1 << 20;

class Layout {
 public:
  Layout(const Sequences& sequences, std::int64_t chunk) : sequences_(sequences), chunk_(chunk) {}

  std::vector<Piece> pieces() const {
    std::vector<Piece> pieces;
    const bool packed = sequences_.attended.empty() && has_jumps();
    for (std::int64_t sequence = 0; sequence < sequences_.count; ++sequence) {
      if (packed)
        add_runs(sequence, pieces);
      else if (std::optional<Piece> piece = attended_piece(sequence))
        pieces.push_back(std::move(*piece));
    }
    if (packed)
      log_warning(
          fmt::format("position_ids do not go on by 1 everywhere, and there is no attention_mask: each of "
                      "{} runs of positions is a sequence of its own, as in transformers without a cache. "
                      "An attention_mask of ones makes them one",
                      pieces.size()));
    return pieces;
  }

 private:
  std::int64_t position(std::int64_t sequence, std::int64_t token) const {
    return sequences_.positions[static_cast<std::size_t>(sequence * sequences_.length + token)];
  }

  bool follows(std::int64_t sequence, std::int64_t token) const {
    return position(sequence, token) - 1 == position(sequence, token - 1);
  }

  bool has_jumps() const {
    if (sequences_.positions.empty()) return false;
    for (std::int64_t sequence = 0; sequence < sequences_.count; ++sequence)
      for (std::int64_t token = 1; token < sequences_.length; ++token)
        if (!follows(sequence, token)) return true;
    return false;
  }

  void add_runs(std::int64_t sequence, std::vector<Piece>& pieces) const {
    for (std::int64_t begin = 0, end = 1; begin < sequences_.length; begin = end++) {
      while (end < sequences_.length && follows(sequence, end)) ++end;
      Piece run{sequence, begin, end - begin};
      run.lead = lead(run);
      pieces.push_back(std::move(run));
    }
  }

  /// Empty rows before a run, so that its chunks end where its positions say.
  std::int64_t lead(const Piece& run) const {
    if (chunk_ == 0) return 0;
    const std::int64_t first = position(run.sequence, run.begin);
    const std::int64_t into = (first % chunk_ + chunk_) % chunk_;
    if (into + run.length <= chunk_) return 0;
    CARAVAN_CHECK(
        into <= run.begin, IoError,
        fmt::format(
            "position_ids of sequence {} go on from {} at token {}, and over the end of a chunk of {} "
            "positions (chunks that begin before the sequence cannot be laid out). Give an "
            "attention_mask of ones, or begin at a multiple of {}?",
            run.sequence, first, run.begin, chunk_, chunk_));
    return into;
  }

  /// From the first attended token to the last; nothing when all are masked.
  std::optional<Piece> attended_piece(std::int64_t sequence) const {
    std::int64_t begin = 0, end = sequences_.length;
    while (begin < end && !sequences_.attends(sequence, begin)) ++begin;
    while (begin < end && !sequences_.attends(sequence, end - 1)) --end;
    if (begin == end) return std::nullopt;
    Piece piece{sequence, begin, end - begin};
    for (std::int64_t token = begin; token < end; ++token)
      piece.has_holes = piece.has_holes || !sequences_.attends(sequence, token);
    if (!sequences_.attended.empty() && !sequences_.positions.empty()) piece.rotations = rotations(piece);
    return piece;
  }

  /// Only differences matter, so the lowest position becomes 0; those that follow each other need no table.
  std::vector<std::int64_t> rotations(const Piece& piece) const {
    std::vector<std::int64_t> rotations(static_cast<std::size_t>(piece.length), 0);
    const std::int64_t first = position(piece.sequence, piece.begin);
    std::int64_t lowest = first, highest = first;
    bool in_order = true;
    for (std::int64_t token = 0; token < piece.length; ++token) {
      if (!sequences_.attends(piece.sequence, piece.begin + token)) continue;
      const std::int64_t here = position(piece.sequence, piece.begin + token);
      in_order = in_order && here == first + token;
      lowest = std::min(lowest, here);
      highest = std::max(highest, here);
      rotations[static_cast<std::size_t>(token)] = here;
    }
    if (in_order) return {};
    for (std::int64_t token = 0; token < piece.length; ++token)
      if (sequences_.attends(piece.sequence, piece.begin + token))
        rotations[static_cast<std::size_t>(token)] -= lowest;
    return rotations;
  }

  const Sequences& sequences_;
  std::int64_t chunk_;
};

}  // namespace

TokenMap positions_of(const Piece& piece, TokenMap own) {
  const std::int64_t first = piece.first_position();
  own.global_length += first;
  for (PositionRange* range : {&own.first, &own.second}) {
    range->begin += first;
    range->end += first;
  }
  return own;
}

std::vector<Piece> pieces_of(const Sequences& sequences, std::int64_t chunk) {
  return Layout(sequences, chunk).pieces();
}

std::int64_t positions_for(const Sequences& sequences) {
  if (sequences.positions.empty())
    return sequences.attended.empty() ? sequences.length : 2 * sequences.length;
  const auto [lowest, highest] = std::minmax_element(sequences.positions.begin(), sequences.positions.end());
  const std::int64_t spread = *highest - *lowest;
  CARAVAN_CHECK(spread < kMostPositions, IoError,
                fmt::format("position_ids go from {} to {} (less than {} apart are computed)", *lowest,
                            *highest, kMostPositions));
  return 3 * sequences.length + spread;
}

}  // namespace caravan::jobs
