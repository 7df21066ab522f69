#include <gtest/gtest.h>

#include <cmath>
#include <ostream>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

/// cos and sin of p·ω_i with ω = 1, 1/10, …
struct Angles {
  Angles(std::int64_t positions, std::int64_t head_dim)
      : cos({positions, head_dim / 2}), sin({positions, head_dim / 2}) {
    for (std::int64_t i = 0; i < cos.size(); ++i) {
      const std::int64_t p = i / (head_dim / 2), pair = i % (head_dim / 2);
      const double angle = static_cast<double>(p) * std::pow(10.0, -static_cast<double>(pair));
      cos[i] = static_cast<float>(std::cos(angle));
      sin[i] = static_cast<float>(std::sin(angle));
    }
  }
  Tensor cos, sin;
};

/// A query (1, 2, 3, 4) and a key (…) of one head at one position.
Tensor rotated(Angles& angles, std::vector<float> qkv, std::int64_t position) {
  ReferenceOps ops;
  Tensor x({1, 12}, qkv);
  ops.qk_prepare_forward({.how = {.cos = angles.cos,
                                  .sin = angles.sin,
                                  .heads = 1,
                                  .kv_heads = 1,
                                  .head_dim = 4,
                                  .tokens = TokenMap::piece(position, 1)},
                          .qkv = x});
  return x;
}

const std::vector<float> kRow = {1, 2, 3, 4, -2, 0.5f, 1, 3, 7, 8, 9, 10};

double product(const Tensor& q, const Tensor& k) {
  double total = 0;
  for (std::int64_t d = 0; d < 4; ++d) total += double{q[d]} * k[4 + d];
  return total;
}

TEST(Rotation, TurnsAdjacentPairs) {
  Angles angles(4, 4);

  const Tensor x = rotated(angles, kRow, 3);

  EXPECT_NEAR(x[0], std::cos(3.0) - 2 * std::sin(3.0), 1e-6);
  EXPECT_NEAR(x[1], std::sin(3.0) + 2 * std::cos(3.0), 1e-6);
  EXPECT_NEAR(x[2], 3 * std::cos(0.3) - 4 * std::sin(0.3), 1e-6);
  EXPECT_NEAR(x[3], 3 * std::sin(0.3) + 4 * std::cos(0.3), 1e-6);
}

TEST(Rotation, PreservesTheNormOfEachPair) {
  Angles angles(9, 4);

  const Tensor x = rotated(angles, kRow, 8);

  for (std::int64_t i = 0; i < 8; i += 2) {
    EXPECT_NEAR(std::hypot(x[i], x[i + 1]), std::hypot(kRow[i], kRow[i + 1]), 1e-6) << i;
  }
}

TEST(Rotation, LeavesTheValuesAlone) {
  Angles angles(9, 4);

  const Tensor x = rotated(angles, kRow, 8);

  for (std::int64_t i = 8; i < 12; ++i) EXPECT_EQ(x[i], kRow[i]) << i;
}

TEST(Rotation, MakesProductsDependOnTheDistanceOnly) {
  Angles angles(30, 4);

  const double near = product(rotated(angles, kRow, 5), rotated(angles, kRow, 2));
  const double far = product(rotated(angles, kRow, 25), rotated(angles, kRow, 22));

  EXPECT_NEAR(near, far, 1e-5);
  EXPECT_GT(std::abs(near - product(rotated(angles, kRow, 5), rotated(angles, kRow, 3))), 0.1);
}

TEST(Rotation, RefusesAPositionBeyondTheTable) {
  Angles angles(4, 4);

  EXPECT_EQ(message_of<DeviceError>([&] { rotated(angles, kRow, 4); }),
            "qk_prepare_forward on device 'reference': position 4 (the table of positions has 4 rows)");
}

struct TemperatureAt {
  std::int64_t position;
  float factor;
};

class Temperature : public ::testing::TestWithParam<TemperatureAt> {};

/// Golden values of Llama 4: scale 0.1, floor 8192.
TEST_P(Temperature, ScalesQueriesOnly) {
  ReferenceOps ops;
  Tensor x({1, 3}, {1, 1, 1});

  ops.qk_prepare_forward({.how = {.heads = 1,
                                  .kv_heads = 1,
                                  .head_dim = 1,
                                  .tokens = TokenMap::piece(GetParam().position, 1),
                                  .temperature_scale = 0.1f,
                                  .floor_scale = 8192},
                          .qkv = x});

  EXPECT_FLOAT_EQ(x[0], GetParam().factor);
  EXPECT_EQ(x[1], 1);
  EXPECT_EQ(x[2], 1);
}

INSTANTIATE_TEST_SUITE_P(
    Golden, Temperature,
    ::testing::Values(TemperatureAt{0, 1}, TemperatureAt{8190, 1}, TemperatureAt{8191, 1.06931472f},
                      TemperatureAt{16383, 1.10986123f}, TemperatureAt{24575, 1.13862944f},
                      TemperatureAt{32767, 1.16094379f}, TemperatureAt{65535, 1.21972246f},
                      TemperatureAt{131071, 1.28332133f}, TemperatureAt{262143, 1.34965076f},
                      TemperatureAt{1048575, 1.48598124f}, TemperatureAt{10485759, 1.71553963f}));

TEST(QkNorm, GivesEachHeadAMeanSquareOfOne) {
  ReferenceOps ops;
  Tensor x = Tensor::random("qkv", {2, 16}, 0, 5), rstd({2, 3});
  const Tensor before = x;

  ops.qk_prepare_forward(
      {.how = {.heads = 2, .kv_heads = 1, .head_dim = 4, .tokens = TokenMap::whole(0, 2), .norm_eps = 1e-12f},
       .qkv = x,
       .rstd = rstd});

  for (std::int64_t head = 0; head < 3; ++head) {
    double squares = 0, squares_before = 0;
    for (std::int64_t d = 0; d < 4; ++d) squares += std::pow(x[head * 4 + d], 2) / 4;
    for (std::int64_t d = 0; d < 4; ++d) squares_before += std::pow(before[head * 4 + d], 2) / 4;
    EXPECT_NEAR(squares, 1, 1e-6) << head;
    EXPECT_NEAR(rstd[head], 1 / std::sqrt(squares_before), 1e-6) << head;
  }
  for (std::int64_t d = 12; d < 16; ++d) EXPECT_EQ(x[d], before[d]) << d;
}

struct Preparation {
  const char* name;
  bool rotate;
  float norm_eps, temperature_scale, floor_scale;
  std::int64_t first_position = 0, gap = 0;
};

void PrintTo(const Preparation& preparation, std::ostream* out) {
  *out << preparation.name;
}

/// 2 sequences of 3 tokens, 2 query heads and 1 key/value head of 4.
class QkPrepareGradients : public ::testing::TestWithParam<Preparation> {
 protected:
  QkPrepare how() {
    const Preparation& p = GetParam();
    QkPrepare result{.heads = 2,
                     .kv_heads = 1,
                     .head_dim = 4,
                     .tokens = TokenMap::piece(p.first_position, 3),
                     .norm_eps = p.norm_eps,
                     .temperature_scale = p.temperature_scale,
                     .floor_scale = p.floor_scale};
    if (p.rotate) result.cos = angles.cos, result.sin = angles.sin;
    return result;
  }
  double loss() {
    y = x;
    ops.qk_prepare_forward({.how = how(), .qkv = y, .rstd = rstd});
    return weighted_sum(dy, y);
  }

  ReferenceOps ops;
  Angles angles{8, 4};
  std::int64_t gap = GetParam().gap;
  Tensor x = Tensor::random("qkv", {6, 16}, gap), dy = Tensor::random("dqkv", {6, 16}, gap),
         y{{6, 16}, {}, gap};
  Tensor rstd{{6, 3}};
};

TEST_P(QkPrepareGradients, MatchDifferences) {
  loss();
  Tensor dx = dy;

  ops.qk_prepare_backward({.how = how(), .qkv = y, .rstd = rstd, .dqkv = dx});

  EXPECT_TRUE(is_gradient(dx, x, [&] { return loss(); }));
}

INSTANTIATE_TEST_SUITE_P(Cases, QkPrepareGradients,
                         ::testing::Values(Preparation{"nothing", false, 0, 0, 0},
                                           Preparation{"rope", true, 0, 0, 0, 2},
                                           Preparation{"norm", false, 0.1f, 0, 0},
                                           Preparation{"temperature", false, 0, 0.5f, 2, 1},
                                           Preparation{"rope_norm", true, 0.1f, 0, 0, 5},
                                           Preparation{"everything", true, 0.1f, 0.5f, 2, 3},
                                           Preparation{"gaps", true, 0.1f, 0.5f, 2, 3, 3}),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace caravan::testing
