#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <vector>

#include "caravan/random.hpp"
#include "tests/device/host_fixture.hpp"
#include "tests/support/plugin_dir.hpp"

// The matrix products where their blocks end: rows, columns and depths around the sizes of a register block
// (12 or 6 rows, 32 or 16 columns), of what is packed at once (192 rows, 1536 columns, 384 deep), and few
// rows, which are not packed at all.
namespace caravan::testing {
namespace {

struct Size {
  std::int64_t tokens, inputs, outputs;
};

void PrintTo(const Size& s, std::ostream* out) {
  *out << s.tokens << " tokens, " << s.inputs << " to " << s.outputs;
}

class HostProduct : public ::testing::TestWithParam<Size> {};

Problem forward(const Size& s, bool residual) {
  ProblemBuilder b("product_forward", {.gap = 3});
  const Handle x = b.random("x", {s.tokens, s.inputs}), w = b.random("w", {s.outputs, s.inputs}, 0.3);
  const Handle r = b.random("residual", {s.tokens, s.outputs}), y = b.output("y", {s.tokens, s.outputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_forward({v[x], v[w], {}, residual ? v[r] : TensorView{}, v[y]});
  });
}

Problem backward_input(const Size& s, bool accumulate) {
  ProblemBuilder b("product_input", {.gap = 5});
  const Handle dy = b.random("dy", {s.tokens, s.outputs}), w = b.random("w", {s.outputs, s.inputs}, 0.3);
  const Handle dx = b.random("dx", {s.tokens, s.inputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_backward_input({v[dy], v[w], v[dx], accumulate});
  });
}

Problem backward_weight(const Size& s) {
  ProblemBuilder b("product_weight", {.gap = 1});
  const Handle x = b.random("x", {s.tokens, s.inputs}), dy = b.random("dy", {s.tokens, s.outputs});
  const Handle dw = b.f32_random("dw", {s.outputs, s.inputs});
  return b.build([=](Ops& ops, const Views& v) { ops.linear_backward_weight({v[x], v[dy], v[dw], {}}); });
}

TEST_P(HostProduct, equals_the_reference) {
  for (const bool adding : {false, true}) {
    EXPECT_TRUE(equals_reference(forward(GetParam(), adding), host_subject()));
    EXPECT_TRUE(equals_reference(backward_input(GetParam(), adding), host_subject()));
  }
  EXPECT_TRUE(equals_reference(backward_weight(GetParam()), host_subject()));
}

std::vector<Size> sizes() {
  std::vector<Size> sizes = {{1, 1, 1}, {200, 800, 100}, {37, 33, 1600}, {37, 1570, 20}, {400, 5, 7}};
  for (std::int64_t rows : {2, 3, 5, 8, 9, 12, 13, 16, 20, 24, 27}) {
    sizes.push_back({rows, 40, 70});
    sizes.push_back({rows, 16, 15});
  }
  for (std::int64_t depth : {15, 17, 31, 32, 383, 384, 385, 769}) sizes.push_back({14, depth, 48});
  return sizes;
}

INSTANTIATE_TEST_SUITE_P(Sizes, HostProduct, ::testing::ValuesIn(sizes()), [](const auto& test) {
  return fmt::format("T{}_M{}_N{}", test.param.tokens, test.param.inputs, test.param.outputs);
});

std::vector<float> random_values(std::int64_t count, std::uint64_t stream) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(normal({3, stream}, 0, static_cast<std::uint64_t>(i)));
  return values;
}

/// y, dx and dw of one layer on a device with so many threads.
std::vector<float> products_of(const char* threads, const Size& s) {
  static Registry registry({test::plugin_dir()});
  Config config = Config::map();
  config.set("threads", threads);
  const auto device = registry.create<Device>("host", Host{}, config);
  std::vector<float> x = random_values(s.tokens * s.inputs, 1), w = random_values(s.outputs * s.inputs, 2);
  std::vector<float> all(static_cast<std::size_t>(s.tokens * (s.outputs + s.inputs) + s.outputs * s.inputs));
  const TensorView x_view(x.data(), DType::f32, {s.tokens, s.inputs});
  const TensorView w_view(w.data(), DType::f32, {s.outputs, s.inputs});
  const TensorView y(all.data(), DType::f32, {s.tokens, s.outputs});
  float* rest = all.data() + s.tokens * s.outputs;
  const TensorView dx(rest, DType::f32, {s.tokens, s.inputs});
  const TensorView dw(rest + s.tokens * s.inputs, DType::f32, {s.outputs, s.inputs});
  device->ops().linear_forward({x_view, w_view, {}, {}, y});
  device->ops().linear_backward_input({y, w_view, dx, false});
  device->ops().linear_backward_weight({x_view, y, dw, {}});
  return all;
}

TEST(HostProductThreads, give_the_same_to_the_bit_however_many_there_are) {
  for (const Size& size : {Size{500, 130, 90}, Size{20, 300, 900}, Size{3, 700, 900}}) {
    const std::vector<float> one = products_of("1", size);
    EXPECT_EQ(one, products_of("2", size));
    EXPECT_EQ(one, products_of("3", size));
  }
}

/// y of some rows of x, added to a residual, with the first norm of the rows.
std::vector<float> outputs_of(const Size& s, std::int64_t begin, std::int64_t end) {
  std::vector<float> x = random_values(s.tokens * s.inputs, 1), w = random_values(s.outputs * s.inputs, 2),
                     residual = random_values(s.tokens * s.outputs, 3),
                     norm(static_cast<std::size_t>(s.inputs), 1);
  std::vector<float> normed(x.size()), rstd(static_cast<std::size_t>(s.tokens)), y(residual.size());
  const auto rows = [&](std::vector<float>& values, std::int64_t width) {
    return TensorView(values.data(), DType::f32, {s.tokens, width}).rows(begin, end);
  };
  Ops& ops = host_device().ops();
  ops.rmsnorm_forward({rows(x, s.inputs), TensorView(norm.data(), DType::f32, {s.inputs}),
                       rows(normed, s.inputs), TensorView(rstd.data() + begin, DType::f32, {end - begin}),
                       1e-5f});
  ops.linear_forward({rows(normed, s.inputs),
                      TensorView(w.data(), DType::f32, {s.outputs, s.inputs}),
                      {},
                      rows(residual, s.outputs),
                      rows(y, s.outputs)});
  return {y.begin() + begin * s.outputs, y.begin() + end * s.outputs};
}

// What decoding rests on: a sequence continues the same in any company.
TEST(HostProductRows, are_the_same_to_the_bit_however_many_there_are) {
  for (const Size& size : {Size{37, 33, 70}, Size{21, 800, 100}, Size{14, 768, 48}, Size{19, 391, 65}}) {
    const std::vector<float> together = outputs_of(size, 0, size.tokens);
    for (const std::int64_t count : {1, 2, 3, 5, 8, 9, 13}) {
      std::vector<float> apart;
      for (std::int64_t begin = 0; begin < size.tokens; begin += count) {
        const auto part = outputs_of(size, begin, std::min(begin + count, size.tokens));
        apart.insert(apart.end(), part.begin(), part.end());
      }
      EXPECT_EQ(together, apart) << size.inputs << " inputs, " << count << " at a time";
    }
  }
}

TEST(HostProducts, of_no_depth_is_zero_or_adds_nothing) {
  float x = 7, w = 7, y[] = {1, 2, 3, 4}, dx[] = {1, 2};
  LinearForward forward;
  forward.x = TensorView(&x, DType::f32, {2, 0}), forward.w = TensorView(&w, DType::f32, {2, 0});
  forward.y = TensorView(y, DType::f32, {2, 2});
  host_device().ops().linear_forward(forward);
  EXPECT_EQ(y[0] + y[1] + y[2] + y[3], 0);
  host_device().ops().linear_backward_input({TensorView(&x, DType::f32, {2, 0}),
                                             TensorView(&w, DType::f32, {0, 1}),
                                             TensorView(dx, DType::f32, {2, 1}), true});
  EXPECT_EQ(dx[0], 1);
  EXPECT_EQ(dx[1], 2);
}

/// A token that is not a number must not reach its neighbours in a block.
TEST(HostProducts, keeps_what_is_not_a_number_in_its_row) {
  constexpr std::int64_t kRows = 13, kDepth = 20, kColumns = 33;
  std::vector<float> x = random_values(kRows * kDepth, 1), w = random_values(kColumns * kDepth, 2);
  std::vector<float> y(kRows * kColumns);
  x[5 * kDepth + 19] = std::numeric_limits<float>::quiet_NaN();
  host_device().ops().linear_forward({TensorView(x.data(), DType::f32, {kRows, kDepth}),
                                      TensorView(w.data(), DType::f32, {kColumns, kDepth}),
                                      {},
                                      {},
                                      TensorView(y.data(), DType::f32, {kRows, kColumns})});
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / kColumns == 5) << i;
}

}  // namespace
}  // namespace caravan::testing
