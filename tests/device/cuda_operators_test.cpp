#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/bf16.hpp"
#include "caravan/ops.hpp"
#include "caravan/random.hpp"
#include "tests/device/cuda_fixture.hpp"
#include "tests/support/message_of.hpp"

// What is particular to the operators of the device cuda. They against the reference are in device_test.cpp.
namespace caravan::testing {
namespace {

using ::testing::HasSubstr;

/// Attention of 64 tokens, whose tensors nobody reads.
AttentionForward attention(const TensorView& block, DType type, std::int64_t width) {
  const TensorView heads(block.data, type, {2, 64, 4, width}), lse(block.data, DType::f32, {2, 4, 64});
  return {.q = heads, .k = heads, .v = heads, .out = heads, .lse = lse};
}

TEST_F(CudaTest, NamesThePathOfAttentionAndWhyItIsSlow) {
  const TensorView block = place(std::vector<float>(1 << 16));
  const auto says = [&](const AttentionForward& args, const char* path, const char* why) {
    const OperatorPath answer = device().ops().path_of(args);
    EXPECT_EQ(answer.path, path) << why;
    EXPECT_EQ(answer.why, why);
    EXPECT_EQ(answer.pace == OperatorPath::Pace::plain, answer.path == "plain kernel");
  };
  AttentionForward args = attention(block, DType::bf16, 96);
  says(args, "cuDNN", "");
  args.mask.chunk = 16;
  says(args, "cuDNN", "in 2 pieces");
  args.mask.chunk = 48;
  says(args, "cuDNN", "in 2 pieces");
  args.mask.chunk = 63;
  says(args, "plain kernel", "chunks of a single query");
  args.mask.chunk = 45;
  says(args, "plain kernel", "blocks off 4 queries");
  says(attention(block, DType::f32, 96), "plain kernel", "fp32");
  says(attention(block, DType::bf16, 92), "plain kernel", "heads not a multiple of 8 wide");
  args = attention(block, DType::bf16, 96);
  args.dropout.probability = 0.5, args.dropout.global_length = 64;
  says(args, "plain kernel", "dropout of probabilities");
  args = attention(block, DType::bf16, 96);
  args.mask.query_documents = args.mask.key_documents = TensorView(block.data, DType::i32, {2, 64});
  says(args, "plain kernel", "documents");
  args = attention(block, DType::bf16, 96);
  args.mask.first_query = 8;
  says(args, "plain kernel", "keys that do not end at the last query, or begin before its chunk");
}

TEST_F(CudaTest, NamesThePathOfProducts) {
  const TensorView block = place(std::vector<float>(1 << 16));
  const auto path = [&](DType type, std::int64_t outputs) {
    return device().ops().path_of(LinearForward{.x = TensorView(block.data, type, {64, 64}),
                                                .w = TensorView(block.data, type, {outputs, 64}),
                                                .y = TensorView(block.data, DType::f32, {64, outputs})});
  };
  EXPECT_EQ(path(DType::bf16, 64).path, "cuBLASLt");
  EXPECT_EQ(path(DType::bf16, 31).path, "own kernel");
  EXPECT_EQ(path(DType::f32, 64).why, "fp32, without tensor cores");
  const auto grouped = [&](DType type, std::int64_t inputs) {
    return device().ops().path_of(GroupedLinearForward{.x = TensorView(block.data, type, {64, inputs}),
                                                       .offsets = TensorView(block.data, DType::i32, {3}),
                                                       .w = TensorView(block.data, type, {2, 64, inputs}),
                                                       .y = TensorView(block.data, type, {64, 64})});
  };
  EXPECT_EQ(grouped(DType::bf16, 64).why, "tensor cores");
  EXPECT_EQ(grouped(DType::bf16, 60).why, "rows off 16 bytes");
  EXPECT_EQ(grouped(DType::bf16, 60).pace, OperatorPath::Pace::plain);
  EXPECT_EQ(grouped(DType::f32, 64).path, "plain kernel");
}

/// Random numbers in [−½, ½], as memory has them.
std::vector<std::uint8_t> bf16_values(std::int64_t count, std::uint64_t seed) {
  std::vector<std::uint8_t> bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint16_t bits = to_bf16(uniform({seed, 0}, 0, static_cast<std::uint64_t>(i)) - 0.5f);
    bytes.insert(bytes.end(), {static_cast<std::uint8_t>(bits & 255), static_cast<std::uint8_t>(bits >> 8)});
  }
  return bytes;
}

/// Decoding gives a sequence the same words whoever is decoded beside it.
TEST_F(CudaTest, ProductsOfFewRowsGiveARowTheSameBitsInAnyCompany) {
  constexpr std::int64_t kWidth = 1032, kOutputs = 264, kMost = 32;
  const TensorView x = place(bf16_values(kMost * kWidth, 1)), w = place(bf16_values(kOutputs * kWidth, 2)),
                   y = place(std::vector<float>(kMost * kOutputs));
  const auto first_row = [&](std::int64_t rows) {
    device().ops().linear_forward({.x = TensorView(x.data, DType::bf16, {rows, kWidth}),
                                   .w = TensorView(w.data, DType::bf16, {kOutputs, kWidth}),
                                   .y = TensorView(y.data, DType::f32, {rows, kOutputs})});
    return read<float>(TensorView(y.data, DType::f32, {kOutputs}));
  };
  const std::vector<float> alone = first_row(1);
  for (const std::int64_t rows : {2, 8, 9, 17, 32}) EXPECT_EQ(first_row(rows), alone) << rows;
}

TEST_F(CudaTest, CapturedPostsRunAsOftenAsTheyArePosted) {
  const TensorView x = place<float>({1, 2, 3}), y = place<float>({10, 20, 30});
  const auto work = [&] { device().ops().add({x, y}); };
  work();
  const auto captured = device().capture(work);
  ASSERT_TRUE(captured);
  EXPECT_THAT(read<float>(y), ::testing::ElementsAre(11, 22, 33)) << "capturing runs nothing";
  captured->post();
  captured->post();
  EXPECT_THAT(read<float>(y), ::testing::ElementsAre(13, 26, 39));
}

TEST_F(CudaTest, WhatFailsWhileItIsCapturedLeavesTheDeviceAsItWas) {
  const TensorView x = place<float>({1, 2, 3}), y = place<float>({10, 20, 30});
  EXPECT_THROW((void)device().capture([&] {
    device().ops().add({x, y});
    throw ConfigError("in the middle");
  }),
               ConfigError);
  device().ops().add({x, y});
  EXPECT_THAT(read<float>(y), ::testing::ElementsAre(11, 22, 33));
}

TEST_F(CudaTest, NamesOperatorAndArgumentOfAViewThatDoesNotFit) {
  const TensorView x = place<float>({1, 2, 3, 4}), y = place<double>({1, 2, 3, 4});
  EXPECT_THAT(message_of<DeviceError>([&] {
                device().ops().add({x, y});
              }),
              HasSubstr("add on device 'cuda': 'y' is f64 (f32 and bf16 are computed here)"));
  EXPECT_THAT(message_of<DeviceError>([&] {
                device().ops().add({x.rows(0, 3), x});
              }),
              HasSubstr("'x' has 3 elements (needs 4)"));
}

/// The ids are not seen by the host, so what is outside the vocabulary must show in the loss.
TEST_F(CudaTest, AWordOutsideTheVocabularyIsNotANumber) {
  const TensorView table = place<float>({1, 2, 3, 4}).reshape({2, 2});
  const TensorView out = place(std::vector<float>(6)).reshape({3, 2});
  device().ops().embedding_forward({place<std::int32_t>({1, 2, -1}), table, out});
  const std::vector<float> rows = read<float>(out);
  EXPECT_EQ(rows[0], 3);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_TRUE(std::isnan(rows[i])) << i;
}

/// Another rank's is 0 here, because the rows of all ranks are added up.
TEST_F(CudaTest, AWordOfAnotherRankIsZeroAndOneOfNoRankIsNotANumber) {
  const TensorView table = place<float>({1, 2, 3, 4}).reshape({2, 2});
  const TensorView out = place(std::vector<float>(10, 9)).reshape({5, 2});
  device().ops().embedding_forward({.ids = place<std::int32_t>({6, 4, 7, 8, -1}),
                                    .table = table,
                                    .out = out,
                                    .first_id = 5,
                                    .vocabulary = 8});
  const std::vector<float> rows = read<float>(out);
  EXPECT_EQ(rows[0], 3);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(rows[i], 0) << i;
  for (std::size_t i = 6; i < 10; ++i) EXPECT_TRUE(std::isnan(rows[i])) << i;
}

class CudaLabelsTest : public CudaTest {
 protected:
  /// Labels' logits as statistics of a projection of two ids, 5 and 6, have them.
  std::vector<float> logits_of_labels(const std::vector<std::int32_t>& labels, std::int64_t vocabulary) {
    const auto tokens = static_cast<std::int64_t>(labels.size());
    const TensorView x = place(std::vector<float>(labels.size(), 1)).reshape({tokens, 1}),
                     w = place<float>({2, 3}).reshape({2, 1});
    const TensorView statistics = place(std::vector<float>(3 * labels.size(), 9)).reshape({3, tokens});
    device().ops().vocabulary_statistics({.x = x,
                                          .w = w,
                                          .labels = place(labels),
                                          .statistics = statistics,
                                          .first_id = 5,
                                          .vocabulary = vocabulary});
    return read<float>(statistics.rows(2, 3));
  }
};

TEST_F(CudaLabelsTest, OfNoRankHaveALogitThatIsNotANumber) {
  const std::vector<float> of_all = logits_of_labels({6, kIgnoredLabel, 4, 7, 8, -1}, 8);
  EXPECT_EQ(of_all[0], 3);
  for (std::size_t t = 1; t < 4; ++t) EXPECT_EQ(of_all[t], 0) << t;
  for (std::size_t t = 4; t < 6; ++t) EXPECT_TRUE(std::isnan(of_all[t])) << t;
  const std::vector<float> alone = logits_of_labels({5, kIgnoredLabel, 4, 7}, 0);
  EXPECT_EQ(alone[0], 2);
  EXPECT_EQ(alone[1], 0) << "ignored";
  for (std::size_t t = 2; t < 4; ++t) EXPECT_TRUE(std::isnan(alone[t])) << t;
}

/// Sums of many parts in another order would differ in their last bits.
TEST_F(CudaTest, TwoRunsGiveTheSameBits) {
  constexpr std::int64_t kTokens = 5000, kWidth = 256;
  std::vector<float> values(kTokens * kWidth);
  std::vector<std::int32_t> ids(kTokens);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = normal({1, 2}, 0, i);
  for (std::size_t t = 0; t < ids.size(); ++t) ids[t] = static_cast<std::int32_t>(t * t % 97);
  const TensorView x = place(values).reshape({kTokens, kWidth}), tokens = place(ids),
                   rstd = x.reshape({kTokens * kWidth}).rows(0, kTokens);
  const auto run = [&] {
    const TensorView dtable = place(std::vector<float>(97 * kWidth)).reshape({97, kWidth}),
                     dweight = place(std::vector<float>(kWidth)), sum = place<double>({0});
    device().ops().embedding_backward_weight({tokens, x, dtable});
    device().ops().rmsnorm_backward_weight({x, rstd, x, dweight});
    device().ops().sum_of_squares({x, sum});
    std::vector<float> all = read<float>(dtable);
    for (float value : read<float>(dweight)) all.push_back(value);
    all.push_back(static_cast<float>(read<double>(sum)[0]));
    return all;
  };
  const std::vector<float> first = run();
  for (int again = 0; again < 5; ++again) EXPECT_EQ(run(), first);
}

TEST_F(CudaTest, DropoutDrawsTheStreamOfCoreToTheBit) {
  constexpr std::int64_t kRows = 37, kColumns = 136;
  const RandomKey key{123456789012345ull, 77};
  for (std::int64_t width : {kColumns, kColumns - 3}) {
    const TensorView x = place(std::vector<float>(kRows * width, 1.0f)).reshape({kRows, width});
    device().ops().dropout(
        {.x = x, .probability = 0.4f, .key = key, .rows = TokenMap::whole(1'000'000'000'000, 1)});
    const std::vector<float> values = read<float>(x);
    for (std::int64_t i = 0; i < kRows * width; ++i) {
      const auto row = static_cast<std::uint64_t>(1'000'000'000'000 + i / width);
      ASSERT_EQ(values[static_cast<std::size_t>(i)],
                dropout_factor(key, row, static_cast<std::uint64_t>(i % width), 0.4f))
          << "element " << i << " of rows of " << width;
    }
  }
}

TEST_F(CudaTest, ALossThatIsNotANumberStaysNone) {
  std::vector<float> values(10000, 1.0f);
  values[7777] = std::nanf("");
  const TensorView sum = place<double>({0});
  device().ops().sum_of_squares({place(values), sum});
  EXPECT_TRUE(std::isnan(read<double>(sum)[0]));
}

TEST_F(CudaTest, AStepThatFailedUpdatesNothingAndStopsTheNext) {
  const float nan = std::nanf("");
  const TensorView factor = place<float>({1});
  device().ops().clip_factor({place<double>({nan}), factor, 1.0});
  EXPECT_TRUE(std::isnan(read<float>(factor)[0]));
  device().ops().clip_factor({place<double>({4}), factor, 1.0});
  EXPECT_TRUE(std::isnan(read<float>(factor)[0]));

  const std::vector<float> before{1, 2, 3, 4, 5};
  const TensorView master = place(before), m = place(before), v = place(before);
  device().ops().adamw_step({.master = master,
                             .grad = place(before),
                             .exp_avg = m,
                             .exp_avg_sq = v,
                             .lr = 0.1,
                             .gradient_scale = factor});
  const TensorView bias = place(before);
  device().ops().expert_bias_update({.counts = place(before), .bias = bias, .rate = 0.5f, .proceed = factor});
  for (const TensorView& kept : {master, m, v, bias}) EXPECT_EQ(read<float>(kept), before);
}

}  // namespace
}  // namespace caravan::testing
