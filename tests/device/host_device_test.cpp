#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "tests/device/host_fixture.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HostDevice, gives_memory_aligned_to_a_cache_line_and_large_blocks_to_a_huge_page) {
  for (std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{3} << 20}) {
    void* data = host_device().allocate(bytes, "test");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % (bytes > (2u << 20) ? 2u << 20 : 64u), 0u);
    host_device().release(data);
  }
}

TEST(HostDevice, names_what_it_has_no_memory_for) {
  EXPECT_THAT(
      message_of<DeviceError>([] { host_device().allocate(SIZE_MAX / 2, "the stash of stage 0"); }),
      HasSubstr(
          "the stash of stage 0 needs 9223372036854775807 bytes of host memory (there is not so much)"));
  EXPECT_THAT(message_of<DeviceError>([] { host_device().allocate(SIZE_MAX, "the arena"); }),
              HasSubstr("the arena"));
}

TEST(HostDevice, copies_and_clears) {
  float from[] = {1, 2, 3}, to[] = {0, 0, 0};
  host_device().copy(Lane::compute, to, from, sizeof from);
  EXPECT_EQ(to[2], 3);
  host_device().fill_zero(Lane::compute, to, sizeof to);
  EXPECT_EQ(to[0], 0);
  host_device().copy(Lane::compute, nullptr, nullptr, 0);
}

TEST(HostDevice, several_live_in_one_process_and_each_ends_alone) {
  Registry registry({test::plugin_dir()});
  std::vector<float> y(4);
  float x[] = {1, 2, 3, 4}, w[] = {1, 0, 0, 1};
  {
    const auto first = registry.create<Device>("host", Host{}, Config::map());
    const auto second = registry.create<Device>("host", Host{}, Config::map());
  }
  const auto third = registry.create<Device>("host", Host{}, Config::map());
  third->ops().linear_forward({.x = TensorView(x, DType::f32, {2, 2}),
                               .w = TensorView(w, DType::f32, {2, 2}),
                               .bias = {},
                               .residual = {},
                               .y = TensorView(y.data(), DType::f32, {2, 2})});
  EXPECT_EQ(y, (std::vector<float>{1, 2, 3, 4}));
}

TEST(HostDevice, threads_are_what_is_asked_for) {
  Registry registry({test::plugin_dir()});
  Config two = Config::map();
  two.set("threads", "2");
  const auto device = registry.create<Device>("host", Host{}, two);
  EXPECT_THAT(device->description(), HasSubstr("2 threads a rank"));
  two.set("threads", "-1");
  EXPECT_THAT(message_of<ConfigError>([&] { registry.create<Device>("host", Host{}, two); }),
              HasSubstr("threads"));
}

TEST(HostDevice, numbers_below_the_normal_range_become_zero) {
  host_device();
  volatile float tiny = std::numeric_limits<float>::min();
  EXPECT_EQ(tiny * 0.5f, 0.0f);
}

TEST(HostOps, names_operator_and_argument_of_a_wrong_call) {
  float x[4] = {}, w[4] = {}, y[4] = {};
  LinearForward args;
  args.x = TensorView(x, DType::f32, {2, 2}), args.w = TensorView(w, DType::f32, {1, 3});
  args.y = TensorView(y, DType::f32, {2, 1});
  EXPECT_THAT(message_of<DeviceError>([&] { host_device().ops().linear_forward(args); }),
              HasSubstr("linear_forward on device 'host': 'w' has shape [1, 3] (needs [any, 2])"));
  args.w = TensorView(w, DType::bf16, {1, 2});
  EXPECT_THAT(message_of<DeviceError>([&] { host_device().ops().linear_forward(args); }),
              HasSubstr("'w' is bf16 (needs f32)"));
}

/// What operators of a vocabulary say of an id and the same label, where the table and the projection have
/// ids 4 to 6, the embedding first.
std::vector<std::string> refusals_of(std::int32_t id, std::int64_t vocabulary) {
  float values[3] = {};
  const TensorView ids(&id, DType::i32, {1}), table(values, DType::f32, {3, 1}),
      row(values, DType::f32, {1, 1}), lse(values, DType::f32, {1});
  Ops& ops = host_device().ops();
  const auto refusal = [](const auto& call) { return message_of<DeviceError>(call); };
  return {refusal([&] {
            ops.embedding_forward({ids, table, row, 4, vocabulary});
          }),
          refusal([&] {
            ops.embedding_backward_weight({ids, row, table, 4, vocabulary});
          }),
          refusal([&] {
            ops.vocabulary_statistics({row, table, {}, ids, table, {}, 4, vocabulary});
          }),
          refusal([&] {
            ops.vocabulary_gradient({row, table, {}, ids, lse, row, table, {}, 4, vocabulary});
          })};
}

TEST(HostOps, refuse_an_id_that_no_rank_has) {
  const auto id = [](std::string_view problem) { return HasSubstr(fmt::format("ids[0] is {})", problem)); };
  const auto label = [](std::string_view problem) { return HasSubstr(fmt::format("label {})", problem)); };
  const auto are = [](const auto& of_id, const auto& of_label) {
    return ElementsAre(of_id, of_id, of_label, of_label);
  };
  EXPECT_THAT(refusals_of(8, 8),
              are(id("8 (the vocabulary has 8"), label("8 of token 0 (the vocabulary has 8 entries")));
  EXPECT_THAT(refusals_of(-1, 8),
              are(id("-1 (the vocabulary has 8"), label("-1 of token 0 (the vocabulary has 8 entries")));
  EXPECT_THAT(refusals_of(7, 0), are(id("7 (the vocabulary has 3 from 4 on"),
                                     label("7 of token 0 (the vocabulary has 3 entries from 4 on")));
}

TEST(HostOps, refuse_an_id_outside_a_whole_table) {
  float values[3] = {};
  std::int32_t id = 3;
  const TensorView ids(&id, DType::i32, {1}), table(values, DType::f32, {3, 1}),
      row(values, DType::f32, {1, 1});
  Ops& ops = host_device().ops();
  EXPECT_EQ(message_of<DeviceError>([&] {
              ops.embedding_forward({ids, table, row});
            }),
            "embedding_forward on device 'host': ids[0] is 3 (the vocabulary has 3)");
  EXPECT_EQ(message_of<DeviceError>([&] {
              ops.vocabulary_statistics({row, table, {}, ids, table});
            }),
            "vocabulary_statistics on device 'host': label 3 of token 0 (the vocabulary has 3 entries)");
}

/// Loss over `vocabulary` words with one logit replaced.
double loss_with(float extreme, bool at_label) {
  constexpr std::int64_t kVocabulary = 37;
  float x = 1;
  std::vector<float> w(kVocabulary);
  w[at_label ? 3 : 5] = extreme;
  std::int32_t label = 3;
  double loss = 0;
  LinearCrossEntropy args;
  args.x = TensorView(&x, DType::f32, {1, 1}), args.w = TensorView(w.data(), DType::f32, {kVocabulary, 1});
  args.labels = TensorView(&label, DType::i32, {1}), args.loss_sum = TensorView(&loss, DType::f64, {1});
  host_device().ops().linear_cross_entropy(args);
  return loss;
}

TEST(HostOps, a_loss_that_is_not_a_number_stays_none) {
  EXPECT_TRUE(std::isnan(loss_with(std::numeric_limits<float>::quiet_NaN(), false)));
  EXPECT_TRUE(std::isnan(loss_with(std::numeric_limits<float>::quiet_NaN(), true)));
  EXPECT_FALSE(std::isfinite(loss_with(std::numeric_limits<float>::infinity(), false)));
  EXPECT_NEAR(loss_with(1000, true), 0, 1e-6);
  EXPECT_NEAR(loss_with(1000, false), 1000, 1e-3);
}

/// Loss of one token over two parts of a vocabulary, the second with one logit replaced.
double loss_of_parts_with(float extreme) {
  constexpr std::int64_t kRows = 19;
  float x = 1, lse = 0, statistics[2][3] = {};
  std::vector<float> w(2 * kRows);
  w.back() = extreme;
  std::int32_t label = 3;
  double loss = 0;
  Ops& ops = host_device().ops();
  const TensorView labels(&label, DType::i32, {1});
  for (std::int64_t p : {0, 1}) {
    ops.vocabulary_statistics({.x = TensorView(&x, DType::f32, {1, 1}),
                               .w = TensorView(w.data() + p * kRows, DType::f32, {kRows, 1}),
                               .labels = labels,
                               .statistics = TensorView(statistics[p], DType::f32, {3, 1}),
                               .first_id = p * kRows,
                               .vocabulary = 2 * kRows});
  }
  ops.vocabulary_loss({.labels = labels,
                       .statistics = TensorView(statistics, DType::f32, {2, 3, 1}),
                       .lse = TensorView(&lse, DType::f32, {1}),
                       .loss_sum = TensorView(&loss, DType::f64, {1}),
                       .rows = 1});
  return loss;
}

TEST(HostOps, a_loss_of_parts_that_is_not_a_number_stays_none) {
  EXPECT_TRUE(std::isnan(loss_of_parts_with(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_FALSE(std::isfinite(loss_of_parts_with(std::numeric_limits<float>::infinity())));
  EXPECT_NEAR(loss_of_parts_with(-std::numeric_limits<float>::infinity()), std::log(37), 1e-5);
  EXPECT_NEAR(loss_of_parts_with(1000), 1000, 1e-3);
}

TEST(HostOps, a_sum_of_squares_that_is_not_a_number_stays_none) {
  std::vector<float> x(10000, 1.0f);
  double sum = 0;
  host_device().ops().sum_of_squares(
      {TensorView(x.data(), DType::f32, {10000}), TensorView(&sum, DType::f64, {1})});
  EXPECT_EQ(sum, 10000);
  x[7777] = std::numeric_limits<float>::quiet_NaN();
  host_device().ops().sum_of_squares(
      {TensorView(x.data(), DType::f32, {10000}), TensorView(&sum, DType::f64, {1})});
  EXPECT_TRUE(std::isnan(sum));
}

struct HeadCase {
  std::int64_t tokens, width, vocabulary;
};

class HostLoss : public ::testing::TestWithParam<HeadCase> {};

/// More tokens than a block of logits has rows, and a vocabulary longer than a partial sum.
TEST_P(HostLoss, equals_the_reference) {
  const auto [tokens, width, vocabulary] = GetParam();
  ProblemBuilder b("host_loss", {.gap = 3});
  const Handle x = b.random("x", {tokens, width}), w = b.random("w", {vocabulary, width}, 0.3);
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < tokens; ++t) {
    ids.push_back(t % 11 == 4 ? kIgnoredLabel : static_cast<std::int32_t>(t * 7919 % vocabulary));
  }
  const Handle labels = b.indices("labels", {tokens}, ids), loss = b.given("loss", DType::f64, {1}, {0.5});
  const Handle dx = b.output("dx", {tokens, width}), dw = b.f32_random("dw", {vocabulary, width});
  EXPECT_TRUE(equals_reference(b.build([=](Ops& ops, const Views& v) {
    LinearCrossEntropy args;
    args.x = v[x], args.w = v[w], args.labels = v[labels], args.loss_sum = v[loss];
    args.dx = v[dx], args.dw = v[dw], args.gradient_scale = 0.01f;
    ops.linear_cross_entropy(args);
  }),
                               host_subject()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, HostLoss,
                         ::testing::Values(HeadCase{300, 9, 5001}, HeadCase{700, 8, 100}, HeadCase{1, 4, 1}));

}  // namespace
}  // namespace caravan::testing
