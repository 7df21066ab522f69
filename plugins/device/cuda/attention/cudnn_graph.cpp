#include "plugins/device/cuda/attention/cudnn_graph.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan::cuda {
namespace {

constexpr std::int64_t kAlignment = 16;
/// As many proposals as heuristics make for an attention graph, and some more.
constexpr std::int64_t kMostEngines = 16;

CudnnObject operation_graph(cudnnHandle_t handle, const std::vector<CudnnObject>& operations) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const CudnnObject& operation : operations) raw.push_back(operation.get());
  CudnnObject graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
  graph.set_raw(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                static_cast<std::int64_t>(raw.size()), raw.data());
  graph.finalize();
  return graph;
}

/// The engines that are proposed for a graph, best first.
std::vector<CudnnObject> proposals(const CudnnObject& graph) {
  CudnnObject heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  heuristics.finalize();
  std::vector<CudnnObject> engines;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < kMostEngines; ++i) {
    raw.push_back(engines.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  }
  std::int64_t found = 0;
  check_cudnn(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, kMostEngines, &found, raw.data()),
              "the engines of a graph");
  while (static_cast<std::int64_t>(engines.size()) > found) engines.pop_back();
  return engines;
}

}  // namespace

void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[1024] = {};
  cudnnGetLastErrorString(reason, sizeof reason);
  throw DeviceError(fmt::format("cuDNN, {}: {} ({})", call, cudnnGetErrorString(status), reason));
}

CudnnObject::CudnnObject(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t object = nullptr;
  check_cudnn(cudnnBackendCreateDescriptor(type, &object), "cudnnBackendCreateDescriptor");
  object_.reset(object);
}

void CudnnObject::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          std::int64_t count, const void* values) {
  check_cudnn(cudnnBackendSetAttribute(get(), name, type, count, values), "cudnnBackendSetAttribute");
}

void CudnnObject::finalize() {
  check_cudnn(try_to_finalize(), "cudnnBackendFinalize");
}

CudnnPlan::CudnnPlan(CudnnObject plan) : plan_(std::move(plan)) {
  std::int64_t bytes = 0, count = 0;
  check_cudnn(cudnnBackendGetAttribute(plan_.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                       CUDNN_TYPE_INT64, 1, &count, &bytes),
              "the scratch of a plan");
  scratch_bytes_ = static_cast<std::size_t>(bytes);
}

void CudnnPlan::run(cudnnHandle_t handle, const std::vector<Pointer>& pointers, void* scratch) const {
  std::vector<std::int64_t> ids;
  std::vector<const void*> data;
  for (const auto& [tensor, pointer] : pointers) {
    ids.push_back(tensor.id);
    data.push_back(pointer);
  }
  const auto count = static_cast<std::int64_t>(ids.size());
  CudnnObject pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set_raw(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids.data());
  pack.set_raw(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, scratch);
  pack.finalize();
  check_cudnn(cudnnBackendExecute(handle, plan_.get(), pack.get()), "cudnnBackendExecute");
}

CudnnTensor CudnnGraph::add_tensor(const CudnnLayout& layout, Kind kind) {
  const auto id = static_cast<std::int64_t>(tensors_.size()) + 1;
  CudnnObject& tensor = tensors_.emplace_back(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, layout.type);
  tensor.set_raw(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, layout.extents.data());
  tensor.set_raw(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, layout.strides.data());
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, kAlignment);
  tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, kind == Kind::between);
  tensor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, kind == Kind::constant);
  tensor.finalize();
  return {id};
}

void CudnnGraph::add_operation(CudnnObject operation) {
  operation.finalize();
  operations_.push_back(std::move(operation));
}

void CudnnGraph::add_pointwise(CudnnObject mode, const Operands& from, CudnnTensor to) {
  mode.finalize();
  CudnnObject operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, object(from.x));
  if (from.b.id) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, object(from.b));
  if (from.selector.id) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, object(from.selector));
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, object(to));
  descriptions_.push_back(std::move(mode));
  add_operation(std::move(operation));
}

void CudnnGraph::pointwise_in(cudnnDataType_t type, cudnnPointwiseMode_t mode, const Operands& from,
                              CudnnTensor to) {
  CudnnObject description(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  description.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode);
  description.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, type);
  add_pointwise(std::move(description), from, to);
}

void CudnnGraph::pointwise(cudnnPointwiseMode_t mode, const Operands& from, CudnnTensor to) {
  pointwise_in(mode == CUDNN_POINTWISE_CMP_GE ? CUDNN_DATA_BOOLEAN : CUDNN_DATA_FLOAT, mode, from, to);
}

void CudnnGraph::integers(cudnnPointwiseMode_t mode, const Operands& from, CudnnTensor to) {
  pointwise_in(CUDNN_DATA_INT32, mode, from, to);
}

void CudnnGraph::index(CudnnTensor like, std::int64_t axis, CudnnTensor to) {
  CudnnObject description(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  description.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, CUDNN_POINTWISE_GEN_INDEX);
  description.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  description.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, axis);
  add_pointwise(std::move(description), {like}, to);
}

void CudnnGraph::matrix_product(CudnnTensor a, CudnnTensor b, CudnnTensor to) {
  CudnnObject description(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  description.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  description.finalize();
  CudnnObject operation(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, object(a));
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, object(b));
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, object(to));
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, description);
  descriptions_.push_back(std::move(description));
  add_operation(std::move(operation));
}

void CudnnGraph::reduce(cudnnReduceTensorOp_t how, CudnnTensor from, CudnnTensor to) {
  CudnnObject description(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  description.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, how);
  description.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  description.finalize();
  CudnnObject operation(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, object(from));
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, object(to));
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, description);
  descriptions_.push_back(std::move(description));
  add_operation(std::move(operation));
}

void CudnnGraph::reshape(CudnnTensor from, CudnnTensor to) {
  CudnnObject operation(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, object(from));
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, object(to));
  add_operation(std::move(operation));
}

CudnnPlan CudnnGraph::plan(cudnnHandle_t handle) {
  const CudnnObject graph = operation_graph(handle, operations_);
  cudnnStatus_t refusal = CUDNN_STATUS_NOT_SUPPORTED;
  for (const CudnnObject& engine : proposals(graph)) {
    CudnnObject plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine);
    refusal = plan.try_to_finalize();
    if (refusal == CUDNN_STATUS_SUCCESS) return CudnnPlan(std::move(plan));
  }
  check_cudnn(refusal, "no engine takes the graph");
  throw DeviceError("cuDNN: no engine");  // check_cudnn has thrown
}

}  // namespace caravan::cuda
