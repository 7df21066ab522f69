#pragma once

#include <string_view>

#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/tensor_map.hpp"

// Arguments of operators as the operands of grouped products.
namespace caravan::cuda {

/// The weights of all experts, [E, N, M] with adjacent columns.
MappedTensor experts(const Call& call, std::string_view name, const TensorView& view, DType dtype);

MappedTensor mapped(const Matrix& matrix);

/// An extent as kernels count it.
int narrow(const Call& call, std::string_view what, std::int64_t value);

}  // namespace caravan::cuda
