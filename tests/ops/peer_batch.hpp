#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"

namespace caravan::testing {

/// All ranks' rows of one micro-batch, sorted by expert.
struct Batch {
  std::int64_t ranks, experts;
  std::vector<std::vector<std::int64_t>> rows;  ///< [P][E]

  Batch(std::int64_t ranks_, std::int64_t local, std::uint32_t seed)
      : ranks(ranks_), experts(ranks_ * local) {
    std::mt19937 random(seed);
    for (std::int64_t from = 0; from < ranks; ++from) {
      rows.emplace_back();
      for (std::int64_t e = 0; e < experts; ++e) rows.back().push_back(random() % 3 == 0 ? 0 : random() % 5);
    }
  }
  std::int64_t local() const { return experts / ranks; }
  std::int64_t first(std::int64_t from, std::int64_t expert) const {
    std::int64_t sum = 0;
    for (std::int64_t e = 0; e < expert; ++e)
      sum += rows[static_cast<std::size_t>(from)][static_cast<std::size_t>(e)];
    return sum;
  }
  std::int64_t received(std::int64_t by) const {
    std::int64_t sum = 0;
    for (std::int64_t from = 0; from < ranks; ++from)
      sum += first(from, (by + 1) * local()) - first(from, by * local());
    return sum;
  }
  std::int64_t most_received() const {
    std::int64_t most = 0;
    for (std::int64_t rank = 0; rank < ranks; ++rank) most = std::max(most, received(rank));
    return most;
  }
  Ids table() const {
    Ids table({ranks, experts + 1});
    for (std::int64_t from = 0; from < ranks; ++from)
      for (std::int64_t e = 0; e <= experts; ++e)
        table[from * (experts + 1) + e] = static_cast<std::int32_t>(first(from, e));
    return table;
  }
};

/// What one rank is told.
struct Places {
  Ids to_rank, to_row, offsets, kept_offsets, back_rank, back_row, arrived, lost{Shape{1}};
  Ids sent_order, sent_ends{Shape{kRowParts}}, received_order, received_ends{Shape{kRowParts}};
  Scalar overflow{Shape{1}};

  Places(const Batch& batch, std::int64_t rank, std::int64_t room, std::int64_t choices)
      : to_rank(Shape{choices}),
        to_row(Shape{choices}),
        offsets(Shape{batch.local() + 1}),
        kept_offsets(Shape{batch.local() + 1}),
        back_rank(Shape{room}),
        back_row(Shape{room}),
        arrived(Shape{room}),
        sent_order(Shape{choices}),
        received_order(Shape{room}) {
    Ids table = batch.table();
    ReferenceOps().place_rows({.first_rows = table,
                               .rank = rank,
                               .to_rank = to_rank,
                               .to_row = to_row,
                               .offsets = offsets,
                               .kept_offsets = kept_offsets,
                               .back_rank = back_rank,
                               .back_row = back_row,
                               .arrived = arrived,
                               .lost = lost,
                               .overflow = overflow,
                               .sent_parts = {sent_order, sent_ends},
                               .received_parts = {received_order, received_ends}});
  }
};

}  // namespace caravan::testing
