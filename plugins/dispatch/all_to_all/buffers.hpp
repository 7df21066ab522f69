#pragma once

#include <cstdint>

#include "caravan/dispatch.hpp"
#include "caravan/flat_memory.hpp"

// What the dispatcher keeps in the memory that a layer gives it.
namespace caravan::all_to_all {

/// Sizes of one micro-batch on this rank.
struct Sizes {
  std::int64_t sent = 0;      ///< R, choices of this rank's tokens
  std::int64_t received = 0;  ///< M, the most rows that can come
  std::int64_t width = 0;     ///< H
  DType dtype = DType::f32;
  ScoreSide score_side = ScoreSide::input;
};

/// From a post until its wait.
struct Scratch {
  TensorView sent;      ///< [R, H] rows in the order of Routing
  TensorView received;  ///< [M, H] rows as they arrive
  TensorView scores;    ///< [R, 1] f32 scores, or their gradients, in the order of Routing
  Scratch(const Sizes& sizes, FlatMemory& flat)
      : sent(flat.take(sizes.dtype, {sizes.sent, sizes.width})),
        received(flat.take(sizes.dtype, {sizes.received, sizes.width})),
        scores(flat.take(DType::f32, {sizes.score_side == ScoreSide::output ? sizes.sent : 0, 1})) {}
};

/// From the dispatch of a micro-batch to its backward, see RowPlan.
struct Handle {
  TensorView arrival_of;  ///< [M] i32
  TensorView place_of;    ///< [M] i32
  TensorView dscores;     ///< [M, 1] f32 gradients of the scores of rows as they arrived, or empty
  Handle(const Sizes& sizes, FlatMemory& flat)
      : arrival_of(flat.take(DType::i32, {sizes.received})),
        place_of(flat.take(DType::i32, {sizes.received})),
        dscores(flat.take(DType::f32, {sizes.score_side == ScoreSide::output ? sizes.received : 0, 1})) {}
};

}  // namespace caravan::all_to_all
