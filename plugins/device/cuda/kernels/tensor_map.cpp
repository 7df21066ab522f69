#include "plugins/device/cuda/kernels/tensor_map.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"

namespace caravan::cuda {

bool fits_copy_engine(const MappedTensor& tensor) {
  const auto bytes = static_cast<std::int64_t>(size_of(tensor.dtype));
  return reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0 && tensor.row_stride * bytes % 16 == 0 &&
         tensor.matrix_stride * bytes % 16 == 0;
}

TensorMaps::TensorMaps(Context&) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  CARAVAN_CUDA_CHECK(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found));
  CARAVAN_CHECK(found == cudaDriverEntryPointSuccess && entry, DeviceError,
                "the driver has no cuTensorMapEncodeTiled (it is older than CUDA 12.0). Update it?");
  encode_ = reinterpret_cast<decltype(encode_)>(entry);
}

CUtensorMap TensorMaps::boxes(const MappedTensor& tensor, unsigned columns, unsigned rows) const {
  const auto bytes = size_of(tensor.dtype);
  const cuuint64_t extents[3] = {static_cast<cuuint64_t>(tensor.columns),
                                 static_cast<cuuint64_t>(tensor.rows),
                                 static_cast<cuuint64_t>(tensor.matrices)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(tensor.row_stride) * bytes,
                                 static_cast<cuuint64_t>(tensor.matrix_stride) * bytes};
  const cuuint32_t box[3] = {columns, rows, 1}, steps[3] = {1, 1, 1};
  const auto type =
      tensor.dtype == DType::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  CUtensorMap map{};
  const CUresult result = encode_(&map, type, 3, tensor.data, extents, strides, box, steps,
                                  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                  CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CARAVAN_CHECK(
      result == CUDA_SUCCESS, DeviceError,
      fmt::format("no tensor map for {} × {} × {} {} with strides of {} and {} bytes (CUDA driver error "
                  "{})",
                  extents[2], extents[1], extents[0], name_of(tensor.dtype), strides[1], strides[0],
                  static_cast<int>(result)));
  return map;
}

}  // namespace caravan::cuda
