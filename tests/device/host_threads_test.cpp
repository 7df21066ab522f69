#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "tests/device/cases.hpp"
#include "tests/device/host_fixture.hpp"

// How many threads a rank has changes no bit of any operator.
namespace caravan::testing {
namespace {

Made<Device> host_with(int threads) {
  static Registry registry({test::plugin_dir()});
  Config config = Config::map();
  config.set("threads", std::to_string(threads));
  return registry.create<Device>("host", Host{}, config);
}

/// What every operand holds after the problem.
std::vector<std::vector<double>> results_of(const Problem& problem, Device& device) {
  std::vector<Placed> placed;
  std::vector<TensorView> views;
  for (const Operand& operand : problem.operands)
    views.push_back(placed.emplace_back(operand, &device).view());
  problem.run(device.ops(), Views(views));
  std::vector<std::vector<double>> results;
  for (std::size_t i = 0; i < placed.size(); ++i)
    if (!problem.operands[i].scratch) results.push_back(placed[i].read());
  return results;
}

/// As bits, so that not-a-numbers are equal to themselves and zeros of two signs differ.
bool are_same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  const auto bits = [](double value) { return std::bit_cast<std::uint64_t>(value); };
  return std::ranges::equal(a, b, {}, bits, bits);
}

void expect_same_bits(const Problem& problem, Device& one, Device& other) {
  const auto expected = results_of(problem, one), actual = results_of(problem, other);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(are_same_bits(expected[i], actual[i])) << problem.name << ", operand " << i;
}

TEST(HostThreads, ChangeNoBitOfAnyOperator) {
  const auto one = host_with(1), two = host_with(2), five = host_with(5);
  for (const std::int64_t gap : {0, 3}) {
    for (const Problem& problem : all_problems({.gap = gap})) {
      if (problem.name.starts_with("decode_experts"))
        continue;  // which the host leaves to the operators in it
      expect_same_bits(problem, *one, *two);
      expect_same_bits(problem, *one, *five);
    }
  }
}

/// Large enough that threads share what small problems leave to one of them: sums over tokens and of squares.
std::vector<Problem> large_problems() {
  std::vector<Problem> problems;
  constexpr std::int64_t kTokens = 500, kWidth = 333;
  ProblemBuilder norm("rmsnorm_backward_weight/large", {});
  const Handle x = norm.random("x", {kTokens, kWidth}), dy = norm.random("dy", {kTokens, kWidth}),
               rstd = norm.f32_random("rstd", {kTokens}), dweight = norm.f32_random("dweight", {kWidth});
  problems.push_back(norm.build([=](Ops& ops, const Views& v) {
    ops.rmsnorm_backward_weight({v[x], v[rstd], v[dy], v[dweight]});
  }));
  ProblemBuilder table("embedding_backward_weight/large", {});
  std::vector<std::int32_t> words;
  for (std::int64_t t = 0; t < kTokens; ++t) words.push_back(static_cast<std::int32_t>(t * t % 7));
  const Handle ids = table.indices("ids", {kTokens}, words), dout = table.random("dout", {kTokens, kWidth}),
               dtable = table.f32_random("dtable", {7, kWidth});
  problems.push_back(table.build([=](Ops& ops, const Views& v) {
    ops.embedding_backward_weight({v[ids], v[dout], v[dtable], 0, 7});
  }));
  ProblemBuilder squares("sum_of_squares/large", {});
  const Handle all = squares.f32_random("x", {kTokens * kWidth}),
               sum = squares.given("out", DType::f64, {1}, {2.5});
  problems.push_back(squares.build([=](Ops& ops, const Views& v) { ops.sum_of_squares({v[all], v[sum]}); }));
  return problems;
}

TEST(HostThreads, ChangeNoBitOfSumsOverManyTokens) {
  const auto one = host_with(1);
  for (const int threads : {2, 3, 8}) {
    const auto several = host_with(threads);
    for (const Problem& problem : large_problems()) expect_same_bits(problem, *one, *several);
  }
}

}  // namespace
}  // namespace caravan::testing
