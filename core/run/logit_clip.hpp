#pragma once

#include <optional>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/comm.hpp"
#include "caravan/optimizer.hpp"

namespace caravan {

/// How attention's projections stand to a clip of logits by their weights.
enum class ClipState { clipped, normed, frozen };
/// None of parameters that make no logits.
std::optional<ClipState> clip_state(const Parameter& parameter);

/// Optimizer::largest_logit(): has layers of attention note the largest logit of each query head of a step,
/// and scales the weights that made those that are too large, whatever of them is kept here.
class LogitClip {
 public:
  /// Borrows all. `store` must be allocated. Layers note logits from here on until this goes.
  LogitClip(Device& device, const ParameterStore& store, double limit);
  ~LogitClip();
  LogitClip(const LogitClip&) = delete;

  /// A step begins: nothing has been noted.
  void start();
  /// [collective] `rows`: of MeshAxis::rows, who have other queries, or other heads of the same.
  void gather(Communicator& rows);
  /// After the update. `proceed`, [1] f32: NaN where nothing may change.
  void clip(TensorView proceed);
  /// [N] f32 of all query heads of all parameters here that are clipped; −∞: of no query.
  const TensorView& largest() const noexcept { return largest_; }

 private:
  void add_pieces(const ParameterStore& store, Parameter& parameter, const TensorView& largest);
  void add_piece(const Fragment& fragment, const TensorView& largest, ClipHeads::Of of);

  Device& device_;
  double limit_;
  std::vector<Parameter*> parameters_;
  Arena memory_;
  TensorView largest_, none_;      ///< none_: −∞, what largest_ starts with
  std::vector<ClipHeads> pieces_;  ///< of queries and of keys that are kept here
};

}  // namespace caravan
