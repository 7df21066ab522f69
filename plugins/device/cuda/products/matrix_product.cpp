#include "plugins/device/cuda/products/matrix_product.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "caravan/check.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/kernels/columns.hpp"
#include "plugins/device/cuda/products/fastest.hpp"

namespace caravan::cuda {
namespace {

/// What NVIDIA recommends for Hopper.
constexpr std::size_t kScratchBytes = std::size_t{32} << 20;
/// Of cuBLASLt's proposals so many are tried where trying is safe and worth it.
constexpr int kMostTried = 8;
constexpr double kLeastFlops = 1e9;
/// A plan is a few hundred bytes; a run that meets more shapes than this plans some of them again.
constexpr std::size_t kMostPlans = 1024;

void check_lt(cublasStatus_t status, const char* call) {
  CARAVAN_CHECK(status == CUBLAS_STATUS_SUCCESS, DeviceError,
                fmt::format("{} failed: {}", call, cublasLtGetStatusName(status)));
}

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

template <class Handle, cublasStatus_t (*Destroy)(Handle)>
struct Destroyer {
  using pointer = Handle;
  void operator()(Handle handle) const { Destroy(handle); }
};
template <class Handle, cublasStatus_t (*Destroy)(Handle)>
using Owned = std::unique_ptr<Handle, Destroyer<Handle, Destroy>>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// cuBLAS reads a row-major matrix as its column-major transpose.
Layout layout_of(const Matrix& m) {
  cublasLtMatrixLayout_t layout = nullptr;
  check_lt(cublasLtMatrixLayoutCreate(&layout, type_of(m.dtype), static_cast<std::uint64_t>(m.columns),
                                      static_cast<std::uint64_t>(m.rows), std::max(m.stride, m.columns)),
           "cublasLtMatrixLayoutCreate");
  return Layout(layout);
}

template <class Value>
void set(const Description& description, cublasLtMatmulDescAttributes_t attribute, Value value) {
  check_lt(cublasLtMatmulDescSetAttribute(description.get(), attribute, &value, sizeof value),
           "cublasLtMatmulDescSetAttribute");
}
template <class Value>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, Value value) {
  check_lt(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
           "cublasLtMatmulPreferenceSetAttribute");
}

/// Of the address, at most 256, which is as much as kernels ask for.
std::uint32_t alignment_of(const Matrix& m) {
  const auto address = reinterpret_cast<std::uintptr_t>(m.data) | 256;
  return std::uint32_t{1} << std::countr_zero(address);
}

const Matrix& addend_of(const MatrixProduct& p) {
  return p.addend ? p.addend : p.result;
}

/// rightᵀ·leftᵀ: the transpose of the product, as the columns of cuBLAS are our rows.
Description describe(const MatrixProduct& p) {
  cublasLtMatmulDesc_t made = nullptr;
  check_lt(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
  Description description(made);
  set(description, CUBLASLT_MATMUL_DESC_TRANSA, p.right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(description, CUBLASLT_MATMUL_DESC_TRANSB, p.left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  return description;
}

void describe_bias(const Description& description, const Matrix& bias) {
  set(description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  set(description, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<std::int32_t>(type_of(bias.dtype)));
  set(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.data);
}

Preference preference_for(const MatrixProduct& p) {
  cublasLtMatmulPreference_t made = nullptr;
  check_lt(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kScratchBytes});
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.right.matrix));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.left.matrix));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(addend_of(p)));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.result));
  return preference;
}

std::int64_t depth_of(const MatrixProduct& p) {
  return p.left.transposed ? p.left.matrix.rows : p.left.matrix.columns;
}

/// Small numbers packed into one, lowest first.
std::int64_t pack(std::initializer_list<std::int64_t> bytes) {
  std::int64_t packed = 0;
  for (const std::int64_t byte : bytes) packed = packed << 8 | byte;
  return packed;
}

std::int64_t alignment_code(const Matrix& m) {
  return m ? std::countr_zero(alignment_of(m)) : 0;
}

}  // namespace

enum class Bias { none, in_product, afterwards };

struct MatrixProducts::Plan {
  Description description;
  Layout right, left, addend, result;
  Bias bias = Bias::none;
  cublasLtMatmulAlgo_t algorithm{};
};

MatrixProducts::MatrixProducts(Context& context)
    : stream_(context.stream()), determinism_(context.determinism()) {
  check_lt(cublasLtCreate(&handle_), "cublasLtCreate");
  CARAVAN_CUDA_CHECK(cudaMalloc(&scratch_, kScratchBytes));
}

MatrixProducts::~MatrixProducts() {
  plans_.clear();
  cudaFree(scratch_);
  cublasLtDestroy(handle_);
}

MatrixProducts::Key MatrixProducts::key_of(const MatrixProduct& p) {
  const Matrix& addend = addend_of(p);
  const std::int64_t kinds = pack({p.left.transposed, p.right.transposed, p.addend.data != nullptr,
                                   addend.data == p.result.data, p.bias.data != nullptr});
  const std::int64_t types =
      pack({static_cast<std::int64_t>(p.left.matrix.dtype), static_cast<std::int64_t>(p.result.dtype),
            alignment_code(p.left.matrix), alignment_code(p.right.matrix), alignment_code(addend),
            alignment_code(p.result), alignment_code(p.bias), static_cast<std::int64_t>(p.bias.dtype)});
  return {p.result.rows,
          p.result.columns,
          depth_of(p),
          p.left.matrix.stride,
          p.right.matrix.stride,
          addend.stride,
          p.result.stride,
          kinds,
          types};
}

cublasStatus_t MatrixProducts::choose(const MatrixProduct& p, Plan& plan) const {
  std::array<cublasLtMatmulHeuristicResult_t, kMostTried> choices{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_, plan.description.get(), plan.right.get(), plan.left.get(), plan.addend.get(),
      plan.result.get(), preference_for(p).get(), may_try(p) ? kMostTried : 1, choices.data(), &found);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (found == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  plan.algorithm = choices[0].algo;
  if (found == 1 || choices[0].state != CUBLAS_STATUS_SUCCESS) return choices[0].state;
  plan.algorithm = choices[fastest(static_cast<std::size_t>(found), stream_, [&](std::size_t index) {
                     plan.algorithm = choices[index].algo;
                     return multiply(p, plan) == CUBLAS_STATUS_SUCCESS;
                   })].algo;
  return CUBLAS_STATUS_SUCCESS;
}

bool MatrixProducts::may_try(const MatrixProduct& p) const {
  const bool repeatable = !p.addend || p.addend.data != p.result.data;
  const double flops = 2.0 * static_cast<double>(p.result.rows) * static_cast<double>(p.result.columns) *
                       static_cast<double>(depth_of(p));
  return determinism_ == Determinism::fast && repeatable && flops >= kLeastFlops;
}

std::unique_ptr<MatrixProducts::Plan> MatrixProducts::make_plan(const MatrixProduct& p) const {
  auto plan = std::make_unique<Plan>(Plan{describe(p), layout_of(p.right.matrix), layout_of(p.left.matrix),
                                          layout_of(addend_of(p)), layout_of(p.result)});
  if (p.bias) plan->bias = Bias::afterwards;
  // The epilogue takes a bias of the result's type, and not at every shape and alignment.
  if (p.bias && p.bias.dtype == p.result.dtype) {
    describe_bias(plan->description, p.bias);
    plan->bias = Bias::in_product;
    if (choose(p, *plan) == CUBLAS_STATUS_SUCCESS) return plan;
    plan->bias = Bias::afterwards;
    set(plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
  }
  const cublasStatus_t status = choose(p, *plan);
  CARAVAN_CHECK(
      status == CUBLAS_STATUS_SUCCESS, DeviceError,
      fmt::format("no product of [{}, {}] and [{}, {}] in {} giving {} (cuBLASLt: {})", p.result.rows,
                  depth_of(p), depth_of(p), p.result.columns, name_of(p.left.matrix.dtype),
                  name_of(p.result.dtype), cublasLtGetStatusName(status)));
  return plan;
}

MatrixProducts::Plan& MatrixProducts::plan_of(const MatrixProduct& product) {
  const Key key = key_of(product);
  if (const auto found = plans_.find(key); found != plans_.end()) return *found->second;
  if (plans_.size() >= kMostPlans) plans_.clear();
  return *(plans_[key] = make_plan(product));
}

cublasStatus_t MatrixProducts::multiply(const MatrixProduct& p, const Plan& plan) const {
  const float one = 1, of_addend = p.addend ? 1 : 0;
  return cublasLtMatmul(handle_, plan.description.get(), &one, p.right.matrix.data, plan.right.get(),
                        p.left.matrix.data, plan.left.get(), &of_addend, addend_of(p).data, plan.addend.get(),
                        p.result.data, plan.result.get(), &plan.algorithm, scratch_, kScratchBytes, stream_);
}

void MatrixProducts::run(const MatrixProduct& p) {
  if (p.result.rows == 0 || p.result.columns == 0) return;
  Plan& plan = plan_of(p);
  if (plan.bias == Bias::in_product) set(plan.description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.data);
  check_lt(multiply(p, plan), "cublasLtMatmul");
  if (plan.bias == Bias::afterwards) add_to_rows(p.result, p.bias, stream_);
}

}  // namespace caravan::cuda
