#pragma once

#include <cstddef>
#include <vector>

#include "core/plan/placement.hpp"

namespace caravan {

/// Numbers the pairs (stage, micro-batch) of a plan, its cells, for flat arrays; and the products that a
/// stage makes for its neighbours in each cell: its output (by F) and the gradient of its input (by I or B).
class Cells {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  /// ConfigError for an action outside of the plan's stages or of `microbatches`, and when there are fewer
  /// forwards than cells, which bounds the arrays by the size of the plan.
  Cells(const Plan& plan, const Placement& placement, int microbatches);

  int stages() const { return stages_; }
  int microbatches() const { return microbatches_; }
  std::size_t size() const { return size_; }
  std::size_t at(int stage, int microbatch) const {
    return static_cast<std::size_t>(stage) * static_cast<std::size_t>(microbatches_) +
           static_cast<std::size_t>(microbatch);
  }

  /// Products are numbered below 2·size(): outputs first, then gradients.
  std::size_t made_by(const Action& action) const;
  /// What another stage must have made for `action`; kNone when it reads nothing of others.
  std::size_t read_by(const Action& action) const;
  /// The stage that reads a product of `action`; −1 when none does.
  int reader_of(const Action& action) const;

 private:
  int stages_, microbatches_;
  std::size_t size_;
};

/// One more than the highest micro-batch of a plan's forwards.
int microbatches_of(const Plan& plan);

inline bool makes_gradient(const Action& action) {
  return action.kind == ActionKind::backward_input || action.kind == ActionKind::backward;
}

inline std::size_t Cells::made_by(const Action& action) const {
  if (action.kind == ActionKind::forward) return at(action.stage, action.microbatch);
  return makes_gradient(action) ? size_ + at(action.stage, action.microbatch) : kNone;
}

inline std::size_t Cells::read_by(const Action& action) const {
  if (action.kind == ActionKind::forward)
    return action.stage == 0 ? kNone : at(action.stage - 1, action.microbatch);
  if (!makes_gradient(action) || action.stage + 1 == stages_) return kNone;
  return size_ + at(action.stage + 1, action.microbatch);
}

inline int Cells::reader_of(const Action& action) const {
  if (action.kind == ActionKind::forward) return action.stage + 1 < stages_ ? action.stage + 1 : -1;
  return makes_gradient(action) ? action.stage - 1 : -1;
}

}  // namespace caravan
