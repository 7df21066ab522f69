#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "caravan/parameter.hpp"
#include "core/run/shared_parameters.hpp"

namespace caravan::jobs {

/// One block of a rank's lasting state: a fragment's weights, one of its optimizer slots, or a buffer.
struct StateTensor {
  const Fragment* fragment = nullptr;  ///< null: a buffer
  std::string group;                   ///< "/model/", "/optimizer/m/", "/state/"
  std::string name;                    ///< of the parameter or buffer
  /// On the device, a fragment's flat; without memory when the store has none for it. f32, but of a frozen
  /// fragment, which has no master, in the type of computation.
  TensorView view;
  bool is_weights() const { return group == kWeightsGroup; }

  static constexpr std::string_view kWeightsGroup = "/model/";
};

/// Everything that a checkpoint holds of a store, in one order on all ranks. A parameter that another
/// pipeline rank owns is left out: `left_out`.
std::vector<StateTensor> state_tensors(const ParameterStore& store, const std::vector<std::string>& slots,
                                       const std::vector<std::string>& left_out);

/// A box of a tensor of the file, and a block's elements of it.
struct StatePart {
  std::string name;  ///< of the tensor in the file
  Shape shape;       ///< of the whole tensor
  Box box;
  TensorView view;
  bool counts = true;  ///< false: another tensor rank stores the same
};
/// The named parts of a block. `whole` is memory of its shape, or none.
std::vector<StatePart> parts_of(const StateTensor& tensor, const TensorView& whole);

/// Parameters in `shared` that `rank` holds and does not own.
std::vector<std::string> not_owned(const std::vector<SharedParameter>& shared, int rank);

}  // namespace caravan::jobs
