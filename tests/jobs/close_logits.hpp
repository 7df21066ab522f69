#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "io/safetensors/reader.hpp"

// Answers of `caravan forward` in a lower precision against exact ones.
namespace caravan::test {

/// KL(p ‖ q) at every position, p and q the softmax of rows of `width` logits.
inline std::vector<double> divergences(const std::vector<float>& p, const std::vector<float>& q,
                                       std::size_t width) {
  std::vector<double> each;
  for (std::size_t row = 0; row < p.size(); row += width) {
    double sum_p = 0, sum_q = 0, difference = 0;
    for (std::size_t at = row; at < row + width; ++at) {
      sum_p += std::exp(static_cast<double>(p[at]));
      sum_q += std::exp(static_cast<double>(q[at]));
      difference += std::exp(static_cast<double>(p[at])) * (static_cast<double>(p[at]) - q[at]);
    }
    each.push_back(difference / sum_p - std::log(sum_p) + std::log(sum_q));
  }
  return each;
}

/// Positions at which every router chose as in `expected`: where two experts are nearly tied, rounding
/// decides.
inline std::vector<bool> routed_alike(const io::SafetensorsFile& ours, const io::SafetensorsFile& expected) {
  std::vector<bool> alike;
  for (const std::string& name : ours.names()) {
    if (!name.starts_with("router.")) continue;
    const auto a = ours.read_as_f32(name), b = expected.read_as_f32(name);
    const auto experts = static_cast<std::size_t>(ours.info(name).shape()[1]);
    alike.resize(a.size() / experts, true);
    for (std::size_t at = 0; at < a.size(); ++at) {
      if ((a[at] != 0) != (b[at] != 0)) alike[at / experts] = false;
    }
  }
  return alike;
}

/// What rounding to bf16 may change: mean KL below 1e-3 where routers chose alike, which is nearly everywhere
/// (in fp32 everywhere), and the loss within 2 %.
inline void expect_close_logits(const io::SafetensorsFile& ours, const io::SafetensorsFile& exact) {
  const auto width = static_cast<std::size_t>(exact.info("logits").shape()[2]);
  const auto each = divergences(exact.read_as_f32("logits"), ours.read_as_f32("logits"), width);
  const std::vector<bool> alike = routed_alike(ours, exact);
  ASSERT_EQ(alike.size(), each.size());
  double total = 0;
  std::size_t counted = 0;
  for (std::size_t at = 0; at < each.size(); ++at) {
    if (alike[at]) total += each[at], ++counted;
  }
  EXPECT_GE(counted, each.size() * 85 / 100);
  EXPECT_LE(total / static_cast<double>(counted), 1e-3);
  EXPECT_NEAR(ours.read_as_f32("loss")[0], exact.read_as_f32("loss")[0], 0.02 * exact.read_as_f32("loss")[0]);
}

}  // namespace caravan::test
