#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/parameter.hpp"
#include "core/run/shared_parameters.hpp"

namespace caravan::jobs {

/// One block of a rank's lasting state: a parameter's weights, one of its optimizer slots, or a buffer.
struct StateTensor {
  Parameter* parameter = nullptr;  ///< null: a buffer
  std::string group;               ///< "/model/", "/optimizer/m/", "/state/"
  std::string name;                ///< of the parameter or buffer
  Shape shape;
  TensorView view;  ///< f32 on the device; empty when the store has no memory for it
  bool is_weights() const { return group == kWeightsGroup; }

  static constexpr std::string_view kWeightsGroup = "/model/";
};

/// Everything that a checkpoint holds of a store, in one order on all ranks. A parameter that another
/// pipeline rank owns is left out: `left_out`.
std::vector<StateTensor> state_tensors(const ParameterStore& store, const std::vector<std::string>& slots,
                                       const std::vector<std::string>& left_out);

using PartVisitor = std::function<void(const std::string& name, const TensorView& view)>;
/// The named parts of a block, under their names in the file. `whole` is the block's memory.
void visit_parts(const StateTensor& tensor, const TensorView& whole, const PartVisitor& visit);

/// Parameters in `shared` that `rank` holds and does not own.
std::vector<std::string> not_owned(const std::vector<SharedParameter>& shared, int rank);

}  // namespace caravan::jobs
