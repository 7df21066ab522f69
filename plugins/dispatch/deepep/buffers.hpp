#pragma once

#include <algorithm>
#include <cstdint>

#include "caravan/dispatch.hpp"
#include "caravan/flat_memory.hpp"
#include "caravan/ops/peers.hpp"

// What the dispatcher keeps in the memory that a layer gives it, and in that which ranks have in common.
namespace caravan::deepep {

/// Sizes of one micro-batch on this rank.
struct Sizes {
  std::int64_t ranks = 1;     ///< P
  std::int64_t experts = 1;   ///< E
  std::int64_t sent = 0;      ///< R, choices of this rank's tokens
  std::int64_t received = 0;  ///< M, the most rows that can come
  std::int64_t width = 0;     ///< H
  DType dtype = DType::f32;
  ScoreSide score_side = ScoreSide::input;

  std::int64_t most_rows() const { return std::max(sent, received); }
  std::int64_t rows_with_scores() const { return score_side == ScoreSide::output ? most_rows() : 0; }
};

/// From the dispatch of a micro-batch to its backward, see PlaceRows.
struct Handle {
  TensorView to_rank, to_row;      ///< [R] i32
  TensorView back_rank, back_row;  ///< [M] i32
  TensorView arrived;              ///< [M] i32
  TensorView offsets;              ///< [L+1] i32
  TensorView lost;                 ///< [1] i32
  RowParts sent, received;         ///< of the R and the M rows
  TensorView dscores;              ///< [M, 1] f32 gradients of the scores of received rows, or empty
  Handle(const Sizes& sizes, FlatMemory& flat)
      : to_rank(flat.take(DType::i32, {sizes.sent})),
        to_row(flat.take(DType::i32, {sizes.sent})),
        back_rank(flat.take(DType::i32, {sizes.received})),
        back_row(flat.take(DType::i32, {sizes.received})),
        arrived(flat.take(DType::i32, {sizes.received})),
        offsets(flat.take(DType::i32, {sizes.experts / sizes.ranks + 1})),
        lost(flat.take(DType::i32, {1})),
        sent{flat.take(DType::i32, {sizes.sent}), flat.take(DType::i32, {kRowParts})},
        received{flat.take(DType::i32, {sizes.received}), flat.take(DType::i32, {kRowParts})},
        dscores(flat.take(DType::f32, {sizes.score_side == ScoreSide::output ? sizes.received : 0, 1})) {}
};

/// The routers' counts of a dispatch, at the begin of an area.
struct Table {
  TensorView first_rows;  ///< [P, E+1] i32 first row of each expert on each rank
  Table(const Sizes& sizes, FlatMemory& flat)
      : first_rows(flat.take(DType::i32, {sizes.ranks, sizes.experts + 1})) {}
};

/// Where rows land, behind the table.
struct LandingRows {
  TensorView rows;    ///< [max(R, M), H]
  TensorView scores;  ///< [max(R, M), 1] f32 beside the rows, or empty
  LandingRows(const Sizes& sizes, FlatMemory& flat)
      : rows(flat.take(sizes.dtype, {sizes.most_rows(), sizes.width})),
        scores(flat.take(DType::f32, {sizes.rows_with_scores(), 1})) {}
};

/// As a column of rows of one number.
inline TensorView as_column(const TensorView& view) {
  return view.reshape({view.count(), 1});
}

}  // namespace caravan::deepep
