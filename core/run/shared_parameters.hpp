#pragma once

#include <memory>
#include <string>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/comm.hpp"
#include "caravan/ops.hpp"
#include "caravan/parameter.hpp"

namespace caravan {

/// A parameter that stages of several pipeline ranks use (tied embedding and head).
struct SharedParameter {
  std::string name;
  std::vector<int> ranks;  ///< pipeline ranks that hold a copy, ascending; the first owns it
};

/// Keeps the copies of shared parameters equal: every copy starts with the same values and gets the sum of
/// all copies' gradients. Ranks that divide a copy keep the same elements of it on every stage, and sum
/// those. For norms and checkpoints the owner's counts.
class SharedParameters {
 public:
  /// `shared`: equal on all ranks of `pipeline`. Takes memory for the largest that this rank holds.
  SharedParameters(Device& device, const ParameterStore& store, Communicator& pipeline,
                   const std::vector<SharedParameter>& shared);

  /// [collective over the pipeline] Every copy's gradient becomes the sum over the copies, added in rank
  /// order.
  void sum_gradients();
  /// The gradients whose squares this rank has to add up, as few contiguous pieces: those that it answers for
  /// and that are not squared as they are made.
  const std::vector<TensorView>& unsquared_gradients() const noexcept { return unsquared_; }

 private:
  struct Copy {
    TensorView grad;
    std::vector<int> ranks;
  };
  void sum_and_return(const Copy& copy);

  Ops& ops_;
  Device& device_;
  Communicator& pipeline_;
  std::vector<Copy> copies_;  // in one order on all ranks
  std::unique_ptr<Arena> memory_;
  std::vector<TensorView> unsquared_;
};

}  // namespace caravan
