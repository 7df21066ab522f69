#pragma once

#include <string>
#include <string_view>

#include "caravan/context_rows.hpp"
#include "caravan/layer.hpp"
#include "caravan/tensor_rows.hpp"

namespace caravan::moe {

/// What is reckoned of whole sequences, where tensor ranks route parts of the rows and context ranks have
/// parts of the sequences: few values of every token, which all these ranks bring together, [B·L, W] in the
/// order of positions.
class WholeSequences {
 public:
  /// `rows`: how the router's travel; undivided where each tensor rank routes all.
  WholeSequences(TensorRows rows, ContextRows parts) : rows_(rows), parts_(parts) {}

  bool travel() const noexcept { return rows_.travel() || parts_.travel(); }
  /// Of the ranks that have the same sequences whole this is the one that counts them.
  bool counts(const BatchShape& shape) const {
    return shape.tensor_rank == 0 && (!parts_.travel() || parts_.rank() == 0);
  }
  /// Which of the whole sequences' tokens the router's rows are.
  TokenMap rows(const Run& run) const;

  /// Memory of values on their way.
  struct Values {
    Entry tokens;  ///< of a rank's tokens, where tensor ranks have parts of them
    Entry parts;   ///< of what context ranks have
    Entry whole;   ///< where these are put into the order of positions
  };
  /// What an entry of the stash is declared with.
  struct Kind {
    std::string name;
    DType dtype;
    std::int64_t width;  ///< W; 0: there are none in this shape
    Lifetime lifetime;   ///< of what is whole; backward: it is made whole, not gathered
    std::string_view section;
  };
  Values plan(const BatchShape& shape, StashPlan& plan, const Kind& kind) const;
  /// [collective over these ranks] `own`: [R, W]. Where nothing travels it is returned.
  TensorView gather(Run& run, const Frame& frame, const Values& values, TensorView own) const;
  /// Where it gathers to, [B·L, W].
  TensorView whole(const Run& run, const Frame& frame, const Values& values, TensorView own) const {
    if (parts_.travel()) return frame[values.whole];
    return rows_.travel() ? rows_.all(run.shape, frame[values.tokens]) : own;
  }
  /// This rank's rows of what stands there, [R, W].
  TensorView own(Run& run, const Frame& frame, const Values& values) const;

 private:
  TensorRows rows_;
  ContextRows parts_;
};

}  // namespace caravan::moe
