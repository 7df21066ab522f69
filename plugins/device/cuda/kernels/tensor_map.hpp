#pragma once

#include <cuda.h>

#include <cstdint>

#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {

class Context;

/// A tensor in device memory, innermost axis first. Extents are positive.
struct MappedTensor {
  void* data = nullptr;
  DType dtype = DType::bf16;  ///< or f32
  std::int64_t columns = 1, rows = 1, matrices = 1;
  std::int64_t row_stride = 1, matrix_stride = 1;  ///< elements
};

/// True when the copy engine can address it: start and strides on 16 bytes.
bool fits_copy_engine(const MappedTensor& tensor);

/// Makes descriptors for Hopper's copy engine. The encoder is the driver's, found at run time because the
/// plugin does not link the driver. Kept by Context::keep.
class TensorMaps {
 public:
  explicit TensorMaps(Context& context);
  /// Boxes of `columns` × `rows` elements of one matrix, 128 bytes a row at most, that shared memory holds
  /// with the 128-byte swizzle; zero outside the tensor.
  CUtensorMap boxes(const MappedTensor& tensor, unsigned columns, unsigned rows) const;

 private:
  decltype(&cuTensorMapEncodeTiled) encode_ = nullptr;
};

}  // namespace caravan::cuda
