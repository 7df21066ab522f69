#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "caravan/error.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/grouped/grouped_gemm.hpp"
#include "tests/device/cuda/gpu_arrays.hpp"

// The tensor cores' grouped products against the plain kernel, which device_test.cpp holds to the reference.
namespace caravan::testing {
namespace {

using cuda::GroupedCall;
using cuda::GroupedOperands;
using cuda::MappedTensor;
using cuda::Product;
using cuda::Tiles;

enum class Kind { forward, backward_input, backward_weight, replaced_weight };

bool of_weights(Kind kind) {
  return kind == Kind::backward_weight || kind == Kind::replaced_weight;
}

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

  Product product() const { return of_weights(kind_) ? Product::weights : Product::rows; }
  GpuArray output() const {
    constexpr std::int64_t kGuard = 4096;
    if (!of_weights(kind_)) {
      return {DType::bf16,
              groups_.total() * (kind_ == Kind::forward ? groups_.outputs : groups_.inputs) + kGuard};
    }
    GpuArray out(DType::f32, w_.count() + kGuard);
    if (kind_ == Kind::backward_weight) out.draw(4, 0, w_.count());
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
    call.accumulate = kind_ == Kind::replaced_weight ? Accumulate::replace : Accumulate::add;
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

  void run(const Problem& problem, const GpuArray& out, Tiles tiles) {
    const GroupedCall call = problem.call(out);
    ASSERT_TRUE(cuda::fits_tensor_cores(problem.operands(), call, problem.product()));
    cuda::grouped_gemm(*context_, problem.operands(), call, problem.product(), tiles);
  }
  void expect_equal(const Groups& groups, Kind kind, Tiles tiles) {
    const Problem problem(groups, kind);
    const GpuArray actual = problem.output(), expected = problem.output(), again = problem.output();
    cuda::grouped_plain(*context_, problem.operands(), problem.call(expected), problem.product());
    run(problem, actual, tiles);
    run(problem, again, tiles);
    CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());
    const Difference wrong = difference(actual, expected);
    SCOPED_TRACE(fmt::format("{} kind {} {}", groups.name, static_cast<int>(kind),
                             tiles == Tiles::wide ? "wide" : "square"));
    // bf16: one rounding, to either side; f32: sums of bf16 products, which are exact, in two orders.
    EXPECT_LT(wrong.largest, of_weights(kind) ? 5e-5 : 1e-2);
    EXPECT_EQ(wrong.one_nan, 0);
    EXPECT_EQ(difference(actual, again).bits, 0);
  }
  void expect_all_equal(const Groups& groups) {
    for (const Kind kind : {Kind::forward, Kind::backward_input}) {
      for (const Tiles tiles : {Tiles::square, Tiles::wide}) expect_equal(groups, kind, tiles);
    }
    expect_equal(groups, Kind::backward_weight, Tiles::wide);
    expect_equal(groups, Kind::replaced_weight, Tiles::wide);
  }
  /// Seconds of one call: the median of several.
  double seconds(const Problem& problem, Tiles tiles);

  std::optional<cuda::Context> context_;
};

TEST_F(CudaGrouped, OneTileAndLess) {
  expect_all_equal({"one row", {1}, 0, 8, 8});
  expect_all_equal({"one tile", {128}, 0, 256, 64});
  expect_all_equal({"a little more than one tile", {129}, 0, 264, 72});
}

TEST_F(CudaGrouped, EmptyExpertsAndRowsOfNobody) {
  expect_all_equal({"empty", {0, 3, 0, 200}, 77, 136, 40});
  expect_all_equal({"all to one", {0, 0, 700}, 0, 320, 520});
  expect_all_equal({"nobody", {0, 0}, 64, 64, 64});
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

TEST_F(CudaGrouped, SquaresOfReplacedWeights) {
  for (const Groups& groups : {Groups{"empty", {0, 3, 0, 200, 0}, 77, 136, 40},
                               Groups{"uneven", {1000, 1, 2500, 130, 0, 64, 777}, 9, 1032, 776}}) {
    const Problem problem(groups, Kind::replaced_weight);
    const GpuArray out = problem.output();
    const GpuArray sums(std::vector<std::int32_t>(4, 0));  // two doubles of 0
    GroupedCall call = problem.call(out);
    for (int i = 0; i < 2; ++i) {
      call.squares = sums.as<double>() + i;
      cuda::grouped_gemm(*context_, problem.operands(), call, Product::weights, Tiles::wide);
    }
    double twice[2] = {};
    CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());
    CARAVAN_CUDA_CHECK(cudaMemcpy(twice, sums.data(), sizeof twice, cudaMemcpyDeviceToHost));
    std::vector<float> values(static_cast<std::size_t>(groups.experts() * groups.outputs * groups.inputs));
    CARAVAN_CUDA_CHECK(
        cudaMemcpy(values.data(), out.data(), values.size() * sizeof(float), cudaMemcpyDeviceToHost));
    double expected = 0;
    for (const double value : values) expected += value * value;
    EXPECT_NEAR(twice[0], expected, 1e-6 * expected) << groups.name;
    EXPECT_EQ(twice[0], twice[1]) << groups.name;
  }
}

TEST_F(CudaGrouped, RealShapes) {
  expect_all_equal({"mini8 gate and up", dealt(16384, 16), 0, 6656, 2048});
  expect_all_equal({"scratch down", dealt(16384, 31), 0, 768, 2048});
}

double CudaGrouped::seconds(const Problem& problem, Tiles tiles) {
  constexpr int kWarmUp = 3, kTimed = 21;
  const GpuArray out = problem.output();
  std::vector<cudaEvent_t> marks(kTimed + 1);
  for (cudaEvent_t& mark : marks) CARAVAN_CUDA_CHECK(cudaEventCreate(&mark));
  // A rest, or what ran before decides how far the clock may go.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  for (int i = 0; i < kWarmUp; ++i) run(problem, out, tiles);
  for (int i = 0; i < kTimed; ++i) {
    CARAVAN_CUDA_CHECK(cudaEventRecord(marks[i], context_->stream()));
    run(problem, out, tiles);
  }
  CARAVAN_CUDA_CHECK(cudaEventRecord(marks[kTimed], context_->stream()));
  CARAVAN_CUDA_CHECK(cudaEventSynchronize(marks[kTimed]));
  std::vector<float> milliseconds(kTimed);
  for (int i = 0; i < kTimed; ++i)
    CARAVAN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds[i], marks[i], marks[i + 1]));
  for (const cudaEvent_t mark : marks) CARAVAN_CUDA_CHECK(cudaEventDestroy(mark));
  std::nth_element(milliseconds.begin(), milliseconds.begin() + kTimed / 2, milliseconds.end());
  return milliseconds[kTimed / 2] * 1e-3;
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
  const std::pair<Kind, Tiles> ways[] = {
      {Kind::forward, Tiles::square},        {Kind::forward, Tiles::wide},
      {Kind::backward_input, Tiles::square}, {Kind::backward_input, Tiles::wide},
      {Kind::backward_weight, Tiles::wide},  {Kind::replaced_weight, Tiles::wide}};
  std::cout << fmt::format("{:40} {:>17} {:>17} {:>17}  TFLOP/s\n{:40} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
                           "", "forward", "backward input", "backward weight", "shape", "square", "wide",
                           "square", "wide", "added", "replaced");
  for (const Groups& groups : shapes) {
    std::cout << fmt::format("{:40}", groups.name);
    for (const auto& [kind, tiles] : ways) {
      const double rate = groups.flops() / seconds(Problem(groups, kind), tiles) * 1e-12;
      std::cout << fmt::format(" {:8.0f}", rate);
      EXPECT_GT(rate, 200) << groups.name << ": slower than any path of the tensor cores";
    }
    std::cout << std::endl;
  }
}

}  // namespace
}  // namespace caravan::testing
