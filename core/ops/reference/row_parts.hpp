#pragma once

#include <cstdint>
#include <vector>

#include "caravan/ops/peers.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan::reference {

/// Of the rows whose other ranks these are, those that travel: by rank, in the order in which their sender
/// has them sorted.
inline std::vector<std::vector<std::int32_t>> rows_by_rank(const Vector<std::int32_t>& ranks_of,
                                                           std::int64_t ranks, std::int64_t own) {
  std::vector<std::vector<std::int32_t>> rows(static_cast<std::size_t>(ranks));
  for (std::int64_t row = 0; row < ranks_of.extent(0); ++row)
    if (ranks_of(row) >= 0 && ranks_of(row) != own)
      rows[static_cast<std::size_t>(ranks_of(row))].push_back(static_cast<std::int32_t>(row));
  return rows;
}

/// They, in the order in which they travel.
inline void write_parts(const Call& call, const RowParts& parts,
                        const std::vector<std::vector<std::int32_t>>& rows_of_ranks) {
  if (parts.empty()) return;
  const auto order = call.vector<std::int32_t>("order", parts.order, kAny),
             ends = call.vector<std::int32_t>("ends", parts.ends, kRowParts);
  const auto first_of = [](std::int64_t part, std::int64_t rows) {
    return (part * rows + kRowParts - 1) / kRowParts;
  };
  std::int64_t turn = 0;
  for (std::int64_t part = 0; part < kRowParts; ++part) {
    for (std::int64_t before = -1, k = 0; before != turn; ++k) {
      before = turn;
      for (const auto& rows : rows_of_ranks) {
        const std::int64_t at = first_of(part, std::ssize(rows)) + k;
        if (at < first_of(part + 1, std::ssize(rows))) order(turn++) = rows[static_cast<std::size_t>(at)];
      }
    }
    ends(part) = static_cast<std::int32_t>(turn);
  }
  while (turn < order.extent(0)) order(turn++) = -1;
}

}  // namespace caravan::reference
