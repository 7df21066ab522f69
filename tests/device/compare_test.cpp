#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/device/cases.hpp"
#include "tests/device/compare.hpp"

namespace caravan::testing {
namespace {

using ::testing::HasSubstr;

/// One mistake a kernel can make in rmsnorm_forward.
class BrokenOps : public ReferenceOps {
 public:
  enum class Mistake {
    wrong_value,
    forgets_last_element,
    writes_behind_the_end,
    writes_into_the_gap,
    changes_input
  };
  explicit BrokenOps(Mistake mistake) : mistake_(mistake) {}

  void rmsnorm_forward(const RmsNormForward& args) override {
    ReferenceOps::rmsnorm_forward(args);
    const std::int64_t tokens = args.y.extent(0), width = args.y.extent(1);
    float* last_row = args.y.as<float>() + (tokens - 1) * args.y.stride(0);
    switch (mistake_) {
      case Mistake::wrong_value:
        last_row[0] *= 1.001f;
        break;
      case Mistake::forgets_last_element:
        last_row[width - 1] = std::numeric_limits<float>::quiet_NaN();
        break;
      case Mistake::writes_behind_the_end:
        args.rstd.as<float>()[tokens] = 0;
        break;
      case Mistake::writes_into_the_gap:
        args.y.as<float>()[width] = 0;
        break;
      case Mistake::changes_input:
        args.x.as<float>()[0] += 1;
        break;
    }
  }

 private:
  Mistake mistake_;
};

Problem rmsnorm_problem() {
  for (const Problem& problem : all_problems({.gap = 3})) {
    if (problem.name == "rmsnorm_forward/T3_H7") return problem;
  }
  throw Error("the problem that this test is about is gone");
}

std::string verdict_on(BrokenOps::Mistake mistake) {
  BrokenOps broken(mistake);
  const auto result = equals_reference(rmsnorm_problem(), {.ops = broken});
  return result ? "equal" : result.message();
}

TEST(DeviceComparison, NamesTheElementThatIsWrong) {
  EXPECT_THAT(verdict_on(BrokenOps::Mistake::wrong_value),
              HasSubstr("rmsnorm_forward/T3_H7: 'y' [3, 7]: element 14 is"));
}

TEST(DeviceComparison, SeesAnElementThatWasNotWritten) {
  EXPECT_THAT(verdict_on(BrokenOps::Mistake::forgets_last_element), HasSubstr("element 20 is nan"));
}

TEST(DeviceComparison, SeesAWriteBehindTheEnd) {
  EXPECT_THAT(verdict_on(BrokenOps::Mistake::writes_behind_the_end),
              HasSubstr("'rstd' [3]: byte 268 outside its elements was written"));
}

TEST(DeviceComparison, SeesAWriteIntoTheGapBetweenRows) {
  EXPECT_THAT(verdict_on(BrokenOps::Mistake::writes_into_the_gap),
              HasSubstr("'y' [3, 7]: byte 284 outside its elements was written"));
}

TEST(DeviceComparison, SeesAnInputThatChanged) {
  EXPECT_THAT(verdict_on(BrokenOps::Mistake::changes_input), HasSubstr("'x' [3, 7]: element 0 is"));
}

/// A device of bf16 with one operator.
class Bf16Ops : public Ops {
 public:
  std::string_view device_name() const override { return "bf16"; }
  void gelu_forward(const GeluForward& args) override {
    for (std::int64_t r = 0; r < args.x.extent(0); ++r) {
      for (std::int64_t f = 0; f < args.x.extent(1); ++f) {
        const std::uint16_t* x = args.x.as<std::uint16_t>() + r * args.x.stride(0) + f;
        const float value = std::bit_cast<float>(std::uint32_t{*x} << 16);
        const float result = 0.5f * value * std::erfc(-value * 0.70710678f);
        const auto bits = std::bit_cast<std::uint32_t>(result) + 0x8000;
        args.out.as<std::uint16_t>()[r * args.out.stride(0) + f] = static_cast<std::uint16_t>(bits >> 16);
      }
    }
  }
};

TEST(DeviceComparison, ComparesHalfPrecisionWithTheSameInputs) {
  Bf16Ops ops;
  for (const Problem& problem : elementwise_problems({.compute = DType::bf16, .gap = 8})) {
    if (!problem.name.starts_with("gelu_forward/")) continue;
    EXPECT_TRUE(equals_reference(problem, {.ops = ops}));
  }
}

// That the reference equals itself in f32 is a row of the tests of devices.
TEST(DeviceComparison, ReferenceComputesInBf16WhatItComputesInF32) {
  ReferenceOps reference;
  for (const Problem& problem : all_problems({.compute = DType::bf16, .gap = 8}))
    EXPECT_TRUE(equals_reference(problem, {.ops = reference}));
}

/// Operands of which the reference left some elements unwritten, or made NaN by reading outside, but not all.
std::vector<std::string> half_written(const Problem& problem) {
  ReferenceOps reference;
  std::vector<Placed> placed;
  std::vector<TensorView> views;
  for (const Operand& operand : problem.operands)
    views.push_back(placed.emplace_back(operand, nullptr).view());
  problem.run(reference, Views(views));

  std::vector<std::string> names;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    if (problem.operands[i].scratch) continue;
    const std::vector<double> values = placed[i].read();
    const auto holes =
        std::count_if(values.begin(), values.end(), [](double value) { return std::isnan(value); });
    if (holes != 0 && holes != static_cast<std::ptrdiff_t>(values.size()))
      names.push_back(problem.operands[i].name);
  }
  return names;
}

TEST(DeviceComparison, ReferenceWritesWholeOutputsAndReadsNothingOutside) {
  for (const Problem& problem : small_problems({.gap = 3})) {
    const bool has_spare_rows = problem.name.ends_with("spare_rows");
    EXPECT_EQ(half_written(problem).size(),
              has_spare_rows && !problem.name.starts_with("grouped_linear_backward_w") ? 1u : 0u)
        << problem.name;
  }
}

TEST(DeviceComparison, HasAProblemForEveryOperator) {
  std::set<std::string> covered;
  for (const Problem& problem : small_problems({.gap = 3}))
    covered.insert(problem.name.substr(0, problem.name.find('/')));

#define CARAVAN_EXPECT_PROBLEM(name, Args) EXPECT_EQ(covered.count(#name), 1u) << #name;
  CARAVAN_FOR_EACH_OP(CARAVAN_EXPECT_PROBLEM)
#undef CARAVAN_EXPECT_PROBLEM
}

TEST(DeviceComparison, ProblemNamesAreUnique) {
  std::set<std::string> names;
  for (const Problem& problem : all_problems({.gap = 3}))
    EXPECT_TRUE(names.insert(problem.name).second) << problem.name;
}

}  // namespace
}  // namespace caravan::testing
