#pragma once

#include <cudnn_graph.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace caravan::cuda {

/// DeviceError with the call and cuDNN's own text.
void check_cudnn(cudnnStatus_t status, const char* call);

/// One object of cuDNN's backend interface.
class CudnnObject {
 public:
  explicit CudnnObject(cudnnBackendDescriptorType_t type);
  cudnnBackendDescriptor_t get() const noexcept { return object_.get(); }

  template <class T>
  CudnnObject& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set_raw(name, type, 1, &value);
    return *this;
  }
  CudnnObject& set(cudnnBackendAttributeName_t name, const CudnnObject& other) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.get());
  }
  void set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
               const void* values);
  void finalize();
  /// Unlike finalize() a refusal is an answer here.
  cudnnStatus_t try_to_finalize() { return cudnnBackendFinalize(get()); }

 private:
  struct Destroyer {
    void operator()(cudnnBackendDescriptor_t object) const { cudnnBackendDestroyDescriptor(object); }
  };
  std::unique_ptr<void, Destroyer> object_;
};

using Four = std::array<std::int64_t, 4>;

/// How a tensor of a graph lies in memory; one that only exists between operations has the strides that it
/// would have.
struct CudnnLayout {
  cudnnDataType_t type;
  Four extents, strides;
};

/// Names a tensor of one graph; also its id when the plan is run.
struct CudnnTensor {
  std::int64_t id = 0;
};

/// A graph that can be run: the first of the engines that cuDNN's heuristics propose and that accepts it.
class CudnnPlan {
 public:
  using Pointer = std::pair<CudnnTensor, const void*>;

  std::size_t scratch_bytes() const noexcept { return scratch_bytes_; }
  /// On the handle's stream. A constant's pointer is to host memory, which is read before this returns.
  void run(cudnnHandle_t handle, const std::vector<Pointer>& pointers, void* scratch) const;

 private:
  friend class CudnnGraph;
  explicit CudnnPlan(CudnnObject plan);
  CudnnObject plan_;
  std::size_t scratch_bytes_ = 0;
};

/// Operations on tensors in the order in which cuDNN's patterns want them. Sums are f32.
class CudnnGraph {
 public:
  /// In device memory, on 16 bytes.
  CudnnTensor tensor(const CudnnLayout& layout) { return add_tensor(layout, Kind::memory); }
  /// Exists inside the fused kernel only.
  CudnnTensor between(const CudnnLayout& layout) { return add_tensor(layout, Kind::between); }
  /// One number from host memory.
  CudnnTensor constant(cudnnDataType_t type) {
    return add_tensor({type, {1, 1, 1, 1}, {1, 1, 1, 1}}, Kind::constant);
  }

  struct Operands {
    CudnnTensor x;
    CudnnTensor b = {};         ///< second operand, or none
    CudnnTensor selector = {};  ///< of CUDNN_POINTWISE_BINARY_SELECT
  };
  void pointwise(cudnnPointwiseMode_t mode, const Operands& from, CudnnTensor to);
  /// The same of i32.
  void integers(cudnnPointwiseMode_t mode, const Operands& from, CudnnTensor to);
  /// to[…, i, …] = i along `axis`, an i32.
  void index(CudnnTensor like, std::int64_t axis, CudnnTensor to);
  void matrix_product(CudnnTensor a, CudnnTensor b, CudnnTensor to);
  void reduce(cudnnReduceTensorOp_t how, CudnnTensor from, CudnnTensor to);
  void reshape(CudnnTensor from, CudnnTensor to);

  /// DeviceError when no engine takes the graph.
  CudnnPlan plan(cudnnHandle_t handle);

 private:
  enum class Kind { memory, between, constant };
  CudnnTensor add_tensor(const CudnnLayout& layout, Kind kind);
  const CudnnObject& object(CudnnTensor tensor) const {
    return tensors_.at(static_cast<std::size_t>(tensor.id - 1));
  }
  void pointwise_in(cudnnDataType_t type, cudnnPointwiseMode_t mode, const Operands& from, CudnnTensor to);
  void add_pointwise(CudnnObject mode, const Operands& from, CudnnTensor to);
  void add_operation(CudnnObject operation);

  std::vector<CudnnObject> tensors_, descriptions_, operations_;
};

}  // namespace caravan::cuda
