#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/view.hpp"

// Products with one narrow matrix [T, E], such as the logits of a router for an odd number of experts: its
// rows start on no 16 bytes, where cuBLAS has only slow kernels. The wide matrices x, dx [T, H] and w, dw
// [E, H] are read and written 16 bytes at a time; what these products cost is the memory of x or dx.
namespace caravan::cuda {

/// Whether the kernels below serve: `narrow` is not aligned for cuBLAS, and bf16 `wide` are for these.
bool is_narrow(const Matrix& narrow, std::initializer_list<Matrix> wide);

/// y = x·wᵀ in f32 or bf16
void narrow_forward(const Matrix& x, const Matrix& w, const Matrix& y, cudaStream_t stream);

enum class NarrowResult { replaced, added_to };
/// dx (+)= dy·w
void narrow_backward_input(const Matrix& dy, const Matrix& w, const Matrix& dx, NarrowResult result,
                           cudaStream_t stream);
/// dw (+)= dyᵀ·x in f32, in an order that depends on shapes and the GPU only. Takes the workspace.
void narrow_backward_weight(const Matrix& dy, const Matrix& x, const Matrix& dw, NarrowResult result,
                            Context& context);

}  // namespace caravan::cuda
