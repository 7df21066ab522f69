#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "cuda_error.hpp"
#include "grouped_gemm.hpp"
#include "tests/device/cuda/gpu_arrays.hpp"

// The tensor cores' grouped products against the plain kernel, which device_test.cpp holds to the reference.
namespace caravan::testing {
namespace {

using cuda::Cluster;
using cuda::GroupedCall;
using cuda::GroupedOperands;
using cuda::MappedTensor;
using cuda::Product;

enum class Kind { forward, backward_input, backward_weight };

/// Rows of every expert, spare rows of the buffer that belong to nobody, and a weight [outputs, inputs].
struct Groups {
  std::string name;
  std::vector<std::int32_t> rows;
  std::int64_t spare, outputs, inputs;

  std::vector<std::int32_t> offsets() const {
    std::vector<std::int32_t> sums(rows.size() + 1, 0);
    std::partial_sum(rows.begin(), rows.end(), sums.begin() + 1);
    return sums;
  }
  std::int64_t used() const { return offsets().back(); }
  std::int64_t total() const { return used() + spare; }
  auto experts() const { return static_cast<std::int64_t>(rows.size()); }
  double flops() const { return 2.0 * static_cast<double>(used() * outputs * inputs); }
};

/// One kind of product on random operands. Rows of nobody are NaN, and so is the output before, with a guard
/// after it.
class Problem {
 public:
  Problem(const Groups& groups, Kind kind)
      : groups_(groups),
        kind_(kind),
        offsets_(groups.offsets()),
        x_(DType::bf16, groups.total() * groups.inputs),
        y_(DType::bf16, groups.total() * groups.outputs),
        w_(DType::bf16, groups.experts() * groups.outputs * groups.inputs) {
    x_.draw(1, 0, groups.used() * groups.inputs);
    y_.draw(2, 0, groups.used() * groups.outputs);
    w_.draw(3);
  }

  Product product() const { return kind_ == Kind::backward_weight ? Product::weights : Product::rows; }
  GpuArray output() const {
    constexpr std::int64_t kGuard = 4096;
    if (kind_ != Kind::backward_weight) {
      return {DType::bf16,
              groups_.total() * (kind_ == Kind::forward ? groups_.outputs : groups_.inputs) + kGuard};
    }
    GpuArray out(DType::f32, w_.count() + kGuard);
    out.draw(4, 0, w_.count());
    return out;
  }
  GroupedOperands operands() const {
    if (kind_ == Kind::forward) return {rows_of(x_, groups_.inputs), weights(), true};
    if (kind_ == Kind::backward_input) return {rows_of(y_, groups_.outputs), weights(), false};
    return {rows_of(y_, groups_.outputs), rows_of(x_, groups_.inputs), false};
  }
  GroupedCall call(const GpuArray& out) const {
    GroupedCall call;
    call.offsets = offsets_.as<std::int32_t>();
    call.groups = static_cast<int>(groups_.experts());
    call.rows = static_cast<int>(groups_.total());
    call.out_rows = static_cast<int>(groups_.outputs);
    call.columns = static_cast<int>(kind_ == Kind::forward ? groups_.outputs : groups_.inputs);
    call.depth = static_cast<int>(kind_ == Kind::forward ? groups_.inputs : groups_.outputs);
    call.out = out.data();
    call.out_stride = call.columns;
    call.out_group = groups_.outputs * groups_.inputs;
    call.out_f32 = out.dtype() == DType::f32;
    return call;
  }

 private:
  MappedTensor rows_of(const GpuArray& array, std::int64_t columns) const {
    return {array.data(), DType::bf16, columns, groups_.total(), 1, columns, columns * groups_.total()};
  }
  MappedTensor weights() const {
    return {w_.data(),
            DType::bf16,
            groups_.inputs,
            groups_.outputs,
            groups_.experts(),
            groups_.inputs,
            groups_.inputs * groups_.outputs};
  }

  Groups groups_;
  Kind kind_;
  GpuArray offsets_, x_, y_, w_;
};

/// `total` rows dealt to experts at random, as an untrained router does.
std::vector<std::int32_t> dealt(std::int64_t total, std::uint32_t experts) {
  std::vector<std::int32_t> rows(experts, 0);
  std::mt19937 random(7);
  for (std::int64_t i = 0; i < total; ++i) ++rows[random() % experts];
  return rows;
}

class CudaGrouped : public ::testing::Test {
 protected:
  void SetUp() override {
    int gpus = 0;
    if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus == 0) GTEST_SKIP() << "no GPU on this machine";
    context_.emplace(0);
  }

  void run(const Problem& problem, const GpuArray& out, Cluster cluster) {
    const GroupedCall call = problem.call(out);
    ASSERT_TRUE(cuda::fits_tensor_cores(problem.operands(), call, problem.product()));
    cuda::grouped_gemm(*context_, problem.operands(), call, problem.product(), cluster);
  }
  void expect_equal(const Groups& groups, Kind kind, Cluster cluster) {
    const Problem problem(groups, kind);
    const GpuArray actual = problem.output(), expected = problem.output(), again = problem.output();
    cuda::grouped_plain(*context_, problem.operands(), problem.call(expected), problem.product());
    run(problem, actual, cluster);
    run(problem, again, cluster);
    CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());
    const Difference wrong = difference(actual, expected);
    SCOPED_TRACE(fmt::format("{} kind {} cluster of {}", groups.name, static_cast<int>(kind),
                             cluster == Cluster::pair ? 2 : 1));
    // bf16: one rounding, to either side; f32: sums of bf16 products, which are exact, in two orders.
    EXPECT_LT(wrong.largest, kind == Kind::backward_weight ? 5e-5 : 1e-2);
    EXPECT_EQ(wrong.one_nan, 0);
    EXPECT_EQ(difference(actual, again).bits, 0);
  }
  void expect_all_equal(const Groups& groups) {
    for (const Kind kind : {Kind::forward, Kind::backward_input, Kind::backward_weight}) {
      for (const Cluster cluster : {Cluster::one, Cluster::pair}) expect_equal(groups, kind, cluster);
    }
  }
  /// Seconds of one call: the median of several.
  double seconds(const Problem& problem, Cluster cluster);

  std::optional<cuda::Context> context_;
};

TEST_F(CudaGrouped, OneTileAndLess) {
  expect_all_equal({"one row", {1}, 0, 8, 8});
  expect_all_equal({"one tile", {128}, 0, 256, 64});
  expect_all_equal({"a little more than one tile", {129}, 0, 264, 72});
}

TEST_F(CudaGrouped, EmptyExpertsAndRowsOfNobody) {
  expect_all_equal({"empty", {0, 3, 0, 200, 0}, 77, 136, 40});
  expect_all_equal({"all to one", {0, 0, 700, 0}, 0, 320, 520});
  expect_all_equal({"nobody", {0, 0, 0}, 64, 64, 64});
}

TEST_F(CudaGrouped, EveryRemainderOfAStageAndOfAStep) {
  for (const std::int32_t rows : {1, 15, 16, 17, 31, 33, 63, 64, 65, 79, 127, 191}) {
    expect_all_equal({fmt::format("{} rows", rows), {rows, 5, rows}, 3, 200, 328});
  }
}

TEST_F(CudaGrouped, UnevenGroupsOfManyTiles) {
  expect_all_equal({"uneven", {1000, 1, 2500, 130, 0, 64, 777}, 9, 1032, 776});
  expect_all_equal({"many experts", dealt(5000, 128), 0, 512, 256});
}

TEST_F(CudaGrouped, RealShapes) {
  expect_all_equal({"mini8 gate and up", dealt(16384, 16), 0, 6656, 2048});
  expect_all_equal({"scratch down", dealt(16384, 31), 0, 768, 2048});
}

double CudaGrouped::seconds(const Problem& problem, Cluster cluster) {
  const GpuArray out = problem.output();
  cudaEvent_t begin = nullptr, end = nullptr;
  CARAVAN_CUDA_CHECK(cudaEventCreate(&begin));
  CARAVAN_CUDA_CHECK(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = 0; i < 13; ++i) {
    CARAVAN_CUDA_CHECK(cudaEventRecord(begin, context_->stream()));
    run(problem, out, cluster);
    CARAVAN_CUDA_CHECK(cudaEventRecord(end, context_->stream()));
    CARAVAN_CUDA_CHECK(cudaEventSynchronize(end));
    float milliseconds = 0;
    CARAVAN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    if (i >= 3) times.push_back(milliseconds * 1e-3);
  }
  CARAVAN_CUDA_CHECK(cudaEventDestroy(begin));
  CARAVAN_CUDA_CHECK(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + 5, times.end());
  return times[5];
}

/// Off by default because it takes seconds and a free GPU: --gtest_also_run_disabled_tests.
TEST_F(CudaGrouped, DISABLED_Rates) {
  const auto even = [](int experts, std::int32_t rows) {
    return std::vector<std::int32_t>(static_cast<std::size_t>(experts), rows);
  };
  const Groups shapes[] = {{"16 x 8192 x 5120, 16384 even rows", even(16, 1024), 0, 8192, 5120},
                           {"16 x 8192 x 5120, 16384 dealt rows", dealt(16384, 16), 0, 8192, 5120},
                           {"32 x 2048 x 768, 16384 even rows", even(32, 512), 0, 2048, 768},
                           {"32 x 768 x 2048, 16384 even rows", even(32, 512), 0, 768, 2048},
                           {"scratch gate and up, 16384 dealt rows", dealt(16384, 31), 0, 4096, 768},
                           {"scratch down, 16384 dealt rows", dealt(16384, 31), 0, 768, 2048},
                           {"mini8 gate and up, 16384 dealt rows", dealt(16384, 16), 0, 6656, 2048},
                           {"mini8 down, 16384 dealt rows", dealt(16384, 16), 0, 2048, 3328},
                           {"one group 8192 x 8192 x 8192", {8192}, 0, 8192, 8192}};
  std::cout << fmt::format("{:40} {:>17} {:>17} {:>17}  TFLOP/s, clusters of one and two blocks\n", "shape",
                           "forward", "backward input", "backward weight");
  for (const Groups& groups : shapes) {
    std::cout << fmt::format("{:40}", groups.name);
    for (const Kind kind : {Kind::forward, Kind::backward_input, Kind::backward_weight}) {
      const Problem problem(groups, kind);
      const double one = groups.flops() / seconds(problem, Cluster::one) * 1e-12;
      const double two = groups.flops() / seconds(problem, Cluster::pair) * 1e-12;
      std::cout << fmt::format(" {:8.0f} {:8.0f}", one, two);
      EXPECT_GT(std::max(one, two), 200) << groups.name << ": slower than any path of the tensor cores";
    }
    std::cout << std::endl;
  }
}

}  // namespace
}  // namespace caravan::testing
