#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caravan/error.hpp"
#include "tests/ops/attention_problem.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kLowest = -std::numeric_limits<float>::infinity();

std::vector<float> largest_of(AttentionProblem& p, std::vector<float> before = {}) {
  const std::int64_t heads = p.q.shape()[2];
  if (before.empty()) before.assign(static_cast<std::size_t>(heads), kLowest);
  Tensor largest({heads}, before);
  ReferenceOps().largest_logits({p.q, p.k, largest, p.mask, p.scale});
  return largest.values();
}

/// The largest probability of a row is e^(largest logit − lse), and probabilities are the output where value
/// j is the j-th unit vector: so the logits are those that the softmax sees, under any mask.
std::vector<float> largest_of_softmax(AttentionProblem& p) {
  const std::int64_t keys = p.k.shape()[1], kv_heads = p.k.shape()[2], heads = p.q.shape()[2],
                     rows = p.q.shape()[1];
  p.v = Tensor(p.k.shape());
  for (std::int64_t at = 0; at < p.v.size(); ++at)
    p.v[at] = at / (keys * kv_heads) % keys == at % keys ? 1.0f : 0.0f;
  p.forward();
  std::vector<float> largest(static_cast<std::size_t>(heads), kLowest);
  for (std::int64_t row = 0; row < p.out.size() / keys; ++row) {
    const std::int64_t head = row % heads, i = row / heads % rows, b = row / heads / rows;
    float most = 0;
    for (std::int64_t d = 0; d < keys; ++d) most = std::max(most, p.out[row * keys + d]);
    float& to = largest[static_cast<std::size_t>(head)];
    if (most > 0) to = std::max(to, std::log(most) + p.lse[(b * heads + head) * rows + i]);
  }
  return largest;
}

void expect_softmax(AttentionProblem& p) {
  const std::vector<float> ours = largest_of(p), expected = largest_of_softmax(p);
  ASSERT_EQ(ours.size(), expected.size());
  for (std::size_t head = 0; head < ours.size(); ++head)
    EXPECT_NEAR(ours[head], expected[head], 2e-5) << head;
}

constexpr AttentionShape kShape{
    .batch = 2, .queries = 8, .keys = 8, .heads = 6, .kv_heads = 2, .head_dim = 8};

TEST(LargestLogits, AreThoseOfTheSoftmaxUnderEveryMask) {
  AttentionProblem causal(kShape), chunks(kShape), documents(kShape);
  Ids ids({2, 8}, {0, 0, 0, 1, 1, 1, 1, 2, 0, 1, 1, 1, 1, 1, 1, 1});
  chunks.mask.chunk = 3;
  documents.mask.query_documents = documents.mask.key_documents = ids;
  for (AttentionProblem* p : {&causal, &chunks, &documents}) expect_softmax(*p);
  EXPECT_NE(largest_of(causal), largest_of(chunks)) << "the mask leaves logits out";
  EXPECT_NE(largest_of(causal), largest_of(documents));
}

TEST(LargestLogits, OfLateQueriesAndEarlyKeysStandAtTheirPositions) {
  AttentionProblem p({.queries = 3, .keys = 8, .heads = 2, .kv_heads = 1, .head_dim = 8});
  p.mask = {.first_query = 5, .first_key = 0, .chunk = 4, .query_documents = {}, .key_documents = {}};
  expect_softmax(p);
}

TEST(LargestLogits, AreNegativeWhereAllAre) {
  AttentionProblem p({.queries = 2, .keys = 2, .head_dim = 2});
  p.q = Tensor(p.q.shape(), {1, 0, 1, 1});
  p.k = Tensor(p.k.shape(), {-3, 0, 0, -5});
  p.scale = 2;
  EXPECT_THAT(largest_of(p), ElementsAre(-6)) << "of -6 (first query), -6 and -10 (second)";
}

TEST(LargestLogits, RaiseWhatIsThereAndNeverLowerIt) {
  AttentionProblem p(kShape);
  const std::vector<float> alone = largest_of(p);
  std::vector<float> before(6, 1000.0f), expected = before;
  before[4] = expected[4] = alone[4] - 1;
  expected[4] = alone[4];
  EXPECT_EQ(largest_of(p, before), expected);
}

TEST(LargestLogits, OfQueriesThatSeeNothingAreWhatTheyWere) {
  AttentionProblem p({.queries = 2, .keys = 2});
  p.mask.first_key = 7;
  EXPECT_THAT(largest_of(p), ElementsAre(kLowest));
}

TEST(LargestLogits, RefuseHeadsThatDoNotShareEvenly) {
  AttentionProblem p({.heads = 3, .kv_heads = 2});
  EXPECT_THAT(message_of<DeviceError>([&] { largest_of(p); }),
              HasSubstr("3 query heads on 2 key/value heads"));
}

/// Heads whose queries and keys are single rows of width 1, so that a logit is a product of two weights.
struct Weights {
  Tensor queries{{6}, {1, 2, 3, 4, 5, 6}}, keys{{2}, {7, 8}};
  Tensor largest{{6}, {50, 200, 400, 100, 99, kLowest}};

  void clip(float limit = 100) {
    const auto args = [&](ClipHeads::Of of, Tensor& rows) {
      return ClipHeads{of, rows, {}, 0, 1, largest, 2, limit, {}};
    };
    ReferenceOps ops;
    ops.clip_heads(args(ClipHeads::Of::queries, queries));
    ops.clip_heads(args(ClipHeads::Of::keys, keys));
  }
};

TEST(ClipHeads, ScalesTheLogitsOfEachHeadByItsOwnFactor) {
  Weights w;
  w.clip();
  const float gamma[6] = {1, 0.5f, 0.25f, 1, 1, 1}, before_q[6] = {1, 2, 3, 4, 5, 6}, before_k[2] = {7, 8};
  for (int head = 0; head < 6; ++head) {
    const float logit = before_q[head] * before_k[head / 3];
    EXPECT_FLOAT_EQ(w.queries[head] * w.keys[head / 3], gamma[head] * logit) << head;
  }
}

TEST(ClipHeads, SharedKeysTakeTheRootOfTheLeastFactor) {
  Weights w;
  w.clip();
  EXPECT_FLOAT_EQ(w.keys[0], 7 * std::sqrt(0.25f));
  EXPECT_FLOAT_EQ(w.queries[0], 1 / std::sqrt(0.25f)) << "its keys shrink and its logits may not";
  EXPECT_FLOAT_EQ(w.queries[2], 3 * std::sqrt(0.25f));
  EXPECT_EQ(w.keys[1], 8) << "no head of the group is above the limit";
  EXPECT_EQ(w.queries[3], 4);
}

TEST(ClipHeads, ChangeNoBitWhereNothingIsAbove) {
  Weights w;
  w.clip(1000);
  EXPECT_THAT(w.queries.values(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(w.keys.values(), ElementsAre(7, 8));
}

TEST(ClipHeads, OfPiecesAreThoseOfTheWhole) {
  Tensor whole = Tensor::random("rows", {24}), pieces = whole, copy = whole, largest({4}, {3, 1, 9, 2});
  ReferenceOps ops;
  ops.clip_heads({ClipHeads::Of::queries, whole, {}, 0, 6, largest, 2, 2, {}});
  const TensorView all = pieces, copies = copy;
  for (const auto& [begin, end] : {std::pair{0, 5}, {5, 6}, {6, 19}, {19, 24}})
    ops.clip_heads(
        {ClipHeads::Of::queries, all.rows(begin, end), copies.rows(begin, end), begin, 6, largest, 2, 2, {}});
  EXPECT_EQ(pieces.values(), whole.values());
  EXPECT_EQ(copy.values(), whole.values());
}

TEST(ClipHeads, ChangeNothingAfterAFailedStep) {
  Tensor rows({2}, {1, 1}), largest({2}, {10, 10}), proceed({1}, {NAN});
  ReferenceOps().clip_heads({ClipHeads::Of::queries, rows, {}, 0, 1, largest, 1, 2, proceed});
  EXPECT_THAT(rows.values(), Each(1.0f));
}

TEST(ClipHeads, RefuseRowsThatAreNoHeads) {
  Tensor rows({4}), largest({3});
  const auto refused = [&](std::int64_t first, std::int64_t kv_heads, double limit) {
    return message_of<DeviceError>([&] {
      ReferenceOps().clip_heads({ClipHeads::Of::queries, rows, {}, first, 1, largest, kv_heads, limit, {}});
    });
  };
  EXPECT_THAT(refused(0, 2, 1), HasSubstr("3 query heads on 2 key/value heads"));
  EXPECT_THAT(refused(0, 1, 0), HasSubstr("limit 0"));
  EXPECT_THAT(refused(0, 1, 1), HasSubstr("elements [0, 4) of 3 heads of 1 each"));
  EXPECT_THAT(refused(-2, 1, 1), HasSubstr("elements [-2, 2)"));
}

}  // namespace
}  // namespace caravan::testing
