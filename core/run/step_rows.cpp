#include "core/run/step_rows.hpp"

#include "caravan/ops.hpp"

namespace caravan {

StepRows::StepRows(Device& device, Arena& arena, std::int64_t most) : device_(device) {
  for (TensorView& array : arrays_) array = arena.take(DType::i32, {most});
  for (auto& staged : staged_) staged.reserve(static_cast<std::size_t>(most));
}

std::vector<std::int32_t>& StepRows::start(Array array, std::int32_t padding) {
  std::vector<std::int32_t>& staged = staged_[at(array)];
  staged.assign(static_cast<std::size_t>(size_), padding);
  return staged;
}

void StepRows::put(std::span<const DecodeRow> rows, std::int64_t size) {
  size_ = size;
  auto &tokens = start(Array::tokens, 0), &slots = start(Array::slots, -1),
       &positions = start(Array::positions, 0), &answered = start(Array::answered, -1),
       &answer_slots = start(Array::answer_slots, -1);
  std::size_t answers = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    tokens[row] = rows[row].token;
    slots[row] = rows[row].slot;
    positions[row] = rows[row].position;
    if (!rows[row].answer) continue;
    answered[answers] = static_cast<std::int32_t>(row);
    answer_slots[answers++] = rows[row].slot;
  }
  answers_ = static_cast<std::int64_t>(answers);
  for (std::size_t array = 0; array < at(Array::drawn); ++array)
    device_.copy_from_host(Lane::compute, arrays_[array].data, staged_[array].data(),
                           staged_[array].size() * sizeof(std::int32_t));
}

/// Rows and answers are the same here, so that what makes a row padding makes its answer nobody's.
void StepRows::advance(TensorView stops, TensorView left) {
  device_.ops().advance_rows({drawn(), stops, left, tokens(), slots(), positions()});
  device_.copy(Lane::compute, answer_slots().data, slots().data, slots().bytes());
}

}  // namespace caravan
