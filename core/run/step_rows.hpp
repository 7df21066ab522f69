#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/device.hpp"

namespace caravan {

/// One row of a decode step: the token at a position of the sequence in a slot.
struct DecodeRow {
  std::int32_t token = 0;
  int slot = 0;
  std::int32_t position = 0;
  bool answer = false;  ///< the token behind it is to be drawn
};

/// The rows of a decode step in the device's memory.
class StepRows {
 public:
  /// Takes memory for steps of up to `most` rows from `arena`, which may be a measuring one.
  StepRows(Device& device, Arena& arena, std::int64_t most);

  /// Puts rows there, and padding behind them up to `size`.
  void put(std::span<const DecodeRow> rows, std::int64_t size);
  /// Each row was answered and goes on with what was drawn, see AdvanceRows. `left`: [N] i32; `stops`: [S]
  /// i32 or empty.
  void advance(TensorView stops, TensorView left);

  std::int64_t size() const noexcept { return size_; }        ///< rows, padding included
  std::int64_t answers() const noexcept { return answers_; }  ///< rows whose next token is drawn
  TensorView tokens() const { return of(Array::tokens); }     ///< [size] i32, as the next ones
  TensorView slots() const { return of(Array::slots); }
  TensorView positions() const { return of(Array::positions); }
  TensorView answered() const { return of(Array::answered); }          ///< rows, then −1
  TensorView answer_slots() const { return of(Array::answer_slots); }  ///< of these rows, then −1
  TensorView drawn() const { return of(Array::drawn); }                ///< behind these rows

 private:
  enum class Array { tokens, slots, positions, answered, answer_slots, drawn, count };
  static std::size_t at(Array array) { return static_cast<std::size_t>(array); }
  TensorView of(Array array) const { return arrays_[at(array)].rows(0, size_); }
  std::vector<std::int32_t>& start(Array array, std::int32_t padding);

  Device& device_;
  std::array<TensorView, static_cast<std::size_t>(Array::count)> arrays_;
  std::array<std::vector<std::int32_t>, static_cast<std::size_t>(Array::count)> staged_;
  std::int64_t size_ = 0, answers_ = 0;
};

}  // namespace caravan
