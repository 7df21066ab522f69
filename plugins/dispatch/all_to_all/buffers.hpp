#pragma once

#include <cstddef>
#include <cstdint>

#include "caravan/dispatch.hpp"

// What the dispatcher keeps in the memory that a layer gives it.
namespace caravan::all_to_all {

/// Cuts views out of flat memory, each at a multiple of 64 bytes. Without memory it counts.
class Cutter {
 public:
  explicit Cutter(void* memory = nullptr) : memory_(static_cast<std::byte*>(memory)) {}
  TensorView take(DType dtype, Shape shape) {
    const TensorView view(memory_ ? memory_ + used_ : nullptr, dtype, shape);
    constexpr std::size_t kAlignment = 64;
    used_ += (view.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    return view;
  }
  std::size_t used() const noexcept { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

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
  Scratch(const Sizes& sizes, Cutter& cutter)
      : sent(cutter.take(sizes.dtype, {sizes.sent, sizes.width})),
        received(cutter.take(sizes.dtype, {sizes.received, sizes.width})),
        scores(cutter.take(DType::f32, {sizes.score_side == ScoreSide::output ? sizes.sent : 0, 1})) {}
};

/// From the dispatch of a micro-batch to its backward, see RowPlan.
struct Handle {
  TensorView arrival_of;  ///< [M] i32
  TensorView place_of;    ///< [M] i32
  TensorView dscores;     ///< [M, 1] f32 gradients of the scores of rows as they arrived, or empty
  Handle(const Sizes& sizes, Cutter& cutter)
      : arrival_of(cutter.take(DType::i32, {sizes.received})),
        place_of(cutter.take(DType::i32, {sizes.received})),
        dscores(cutter.take(DType::f32, {sizes.score_side == ScoreSide::output ? sizes.received : 0, 1})) {}
};

template <class Views>
Views views_in(const TensorView& memory, const Sizes& sizes) {
  Cutter cutter(memory.data);
  return Views(sizes, cutter);
}

template <class Views>
std::size_t bytes_of(const Sizes& sizes) {
  Cutter cutter;
  Views(sizes, cutter);
  return cutter.used();
}

}  // namespace caravan::all_to_all
