#pragma once

#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {

/// A factor of a product as it lies in memory; `transposed`: its rows are the product's columns or its depth.
struct Factor {
  Matrix matrix;
  bool transposed = false;
};

/// result = left·right (+ addend) (+ bias), all row-major. Both factors have one type, f32 or bf16; sums are
/// f32.
struct MatrixProduct {
  Factor left;   ///< [rows, depth]
  Factor right;  ///< [depth, columns]
  Matrix result;
  Matrix addend = {};  ///< as result, may be result itself; or absent
  Matrix bias = {};    ///< [columns], f32 or bf16; or absent
};

/// Matrix products by cuBLASLt. What is chosen for a shape is kept, so a step asks once a shape, and the same
/// shape runs the same way until the program ends; sums are split only where their parts are added in a fixed
/// order and in f32. Unless results must be the same in every run, large products that may be repeated are
/// tried in several ways when they first come (the first proposal is up to 20 % slower than the best).
class MatrixProducts {
 public:
  explicit MatrixProducts(Context& context);
  ~MatrixProducts();
  MatrixProducts(const MatrixProducts&) = delete;
  MatrixProducts& operator=(const MatrixProducts&) = delete;

  /// On the compute lane. DeviceError when cuBLASLt has no kernel.
  void run(const MatrixProduct& product);

 private:
  struct Plan;
  /// Everything that decides how a product runs: extents, strides, types, alignments.
  using Key = std::array<std::int64_t, 9>;

  Plan& plan_of(const MatrixProduct& product);
  /// Sets the plan's algorithm, or says why there is none.
  cublasStatus_t choose(const MatrixProduct& product, Plan& plan) const;
  bool may_try(const MatrixProduct& product) const;
  cublasStatus_t multiply(const MatrixProduct& product, const Plan& plan) const;
  std::unique_ptr<Plan> make_plan(const MatrixProduct& product) const;
  static Key key_of(const MatrixProduct& product);

  cudaStream_t stream_;
  Determinism determinism_;
  cublasLtHandle_t handle_ = nullptr;
  void* scratch_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace caravan::cuda
