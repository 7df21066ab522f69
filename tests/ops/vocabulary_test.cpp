#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <optional>
#include <string>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

// Parts of a vocabulary that are each a rank's, against linear_cross_entropy over the whole of it.
namespace caravan::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kTokens = 6, kVocabulary = 7, kWidth = 3;
constexpr float kLowest = std::numeric_limits<float>::lowest();

/// What one pass over the whole vocabulary or over all parts gives.
struct Result {
  Tensor dx{{kTokens, kWidth}}, dw{{kVocabulary, kWidth}}, dbias{{kVocabulary}};
  double loss = 0;
};

/// The parameter: ids at which parts begin, and the end.
class VocabularyParts : public ::testing::TestWithParam<std::vector<std::int64_t>> {
 protected:
  std::int64_t ranks() const { return static_cast<std::int64_t>(GetParam().size()) - 1; }
  std::int64_t begin_of(std::int64_t rank) const { return GetParam()[static_cast<std::size_t>(rank)]; }
  TensorView part(TensorView whole, std::int64_t rank) const {
    return whole.rows(begin_of(rank), begin_of(rank + 1));
  }
  TensorView bias_of(std::int64_t rank) { return part(bias, rank); }

  /// Statistics of all ranks; the logits go side by side into `logits` where it is wanted.
  Tensor statistics(const std::optional<TensorView>& logits = {}) {
    Tensor all({ranks(), 3, kTokens});
    for (std::int64_t p = 0; p < ranks(); ++p) {
      ops.vocabulary_statistics(
          {.x = x,
           .w = part(w, p),
           .bias = bias_of(p),
           .labels = labels,
           .statistics = TensorView(all).rows(p, p + 1).reshape({3, kTokens}),
           .logits = logits ? logits->slice(1, begin_of(p), begin_of(p + 1)) : TensorView{},
           .first_id = begin_of(p),
           .vocabulary = kVocabulary});
    }
    return all;
  }
  double loss_of_rows(std::int64_t first, std::int64_t count) {
    Tensor all = statistics();
    Scalar sum({1});
    ops.vocabulary_loss({labels, all, lse, sum, first, count});
    return sum[0];
  }
  double loss() { return loss_of_rows(0, kTokens); }

  Result of_parts() {
    Result result{.loss = loss()};
    for (std::int64_t p = 0; p < ranks(); ++p) {
      Tensor dx({kTokens, kWidth});
      ops.vocabulary_gradient({.x = x,
                               .w = part(w, p),
                               .bias = bias_of(p),
                               .labels = labels,
                               .lse = lse,
                               .dx = dx,
                               .dw = part(result.dw, p),
                               .dbias = part(result.dbias, p),
                               .first_id = begin_of(p),
                               .vocabulary = kVocabulary,
                               .gradient_scale = 0.5f});
      for (std::int64_t i = 0; i < dx.size(); ++i) result.dx[i] += dx[i];
    }
    return result;
  }
  Result of_whole(TensorView logits = {}) {
    Result result;
    Scalar sum({1});
    ops.linear_cross_entropy({.x = x,
                              .w = w,
                              .bias = bias,
                              .labels = labels,
                              .loss_sum = sum,
                              .logits = logits,
                              .dx = result.dx,
                              .dw = result.dw,
                              .dbias = result.dbias,
                              .gradient_scale = 0.5f});
    result.loss = sum[0];
    return result;
  }

  ReferenceOps ops;
  Tensor x = Tensor::random("x", {kTokens, kWidth}, 2), w = Tensor::random("w", {kVocabulary, kWidth}, 1);
  Tensor bias = Tensor::random("bias", {kVocabulary}), lse{{kTokens}};
  Ids labels{{kTokens}, {0, 6, kIgnoredLabel, 3, 3, 1}};
};

TEST_P(VocabularyParts, HaveTheLossOfTheWhole) {
  EXPECT_NEAR(loss(), of_whole().loss, 1e-6);
}

TEST_P(VocabularyParts, HaveTheGradientsOfTheWhole) {
  const Result parts = of_parts(), whole = of_whole();

  EXPECT_LT(relative_difference(parts.dx.values(), whole.dx.values()), 1e-6);
  EXPECT_LT(relative_difference(parts.dw.values(), whole.dw.values()), 1e-6);
  EXPECT_LT(relative_difference(parts.dbias.values(), whole.dbias.values()), 1e-6);
}

TEST_P(VocabularyParts, HaveGradientsThatMatchDifferences) {
  const Result parts = of_parts();
  const auto scaled_loss = [&] { return 0.5 * loss(); };

  EXPECT_TRUE(is_gradient(parts.dx, x, scaled_loss));
  EXPECT_TRUE(is_gradient(parts.dw, w, scaled_loss));
  EXPECT_TRUE(is_gradient(parts.dbias, bias, scaled_loss));
}

TEST_P(VocabularyParts, KeepLogitsInTheirColumns) {
  Tensor parts({kTokens, kVocabulary}, {}, 2), whole({kTokens, kVocabulary});
  statistics(parts);
  of_whole(whole);

  EXPECT_EQ(parts.values(), whole.values());
}

TEST_P(VocabularyParts, AddTheLossOfTheirRowsUp) {
  EXPECT_NEAR(loss_of_rows(0, 1) + loss_of_rows(1, 3) + loss_of_rows(4, 2), loss(), 1e-12);
  EXPECT_EQ(loss_of_rows(2, 1), 0) << "ignored";
  EXPECT_EQ(loss_of_rows(3, 0), 0);
}

TEST_P(VocabularyParts, HaveNoGradientWhereAllLabelsAreIgnored) {
  labels = Ids({kTokens}, std::vector<std::int32_t>(kTokens, kIgnoredLabel));

  const Result parts = of_parts();

  EXPECT_EQ(parts.loss, 0);
  EXPECT_THAT(parts.dx.values(), Each(0));
  EXPECT_THAT(parts.dw.values(), Each(0));
  EXPECT_THAT(parts.dbias.values(), Each(0));
}

INSTANTIATE_TEST_SUITE_P(Splits, VocabularyParts,
                         ::testing::Values(std::vector<std::int64_t>{0, 7},
                                           std::vector<std::int64_t>{0, 3, 7},
                                           std::vector<std::int64_t>{0, 1, 5, 7},
                                           std::vector<std::int64_t>{0, 4, 4, 7}));

TEST(Vocabulary, StatisticsAreOfThePartAndOfItsLabels) {
  ReferenceOps ops;
  Tensor x({3, 1}, {1, 1, 1}), w({2, 1}, {2, 5}), statistics({3, 3}, {}, 1);
  Ids labels({3}, {11, 9, 12});

  ops.vocabulary_statistics(
      {.x = x, .w = w, .labels = labels, .statistics = statistics, .first_id = 10, .vocabulary = 13});

  const float sum = static_cast<float>(1 + std::exp(-3.0));
  EXPECT_THAT(statistics.values(), ElementsAre(5, 5, 5, sum, sum, sum, 5, 0, 0));
}

TEST(Vocabulary, StatisticsOfNoRowsCountForNothing) {
  ReferenceOps ops;
  Tensor x({1, 1}, {1}), w({0, 1}), statistics({3, 1}), dx({1, 1}, {9}), lse({1}, {1}), dw({0, 1});
  Ids labels({1}, {0});

  ops.vocabulary_statistics({.x = x, .w = w, .labels = labels, .statistics = statistics, .vocabulary = 1});
  ops.vocabulary_gradient(
      {.x = x, .w = w, .labels = labels, .lse = lse, .dx = dx, .dw = dw, .vocabulary = 1});

  EXPECT_THAT(statistics.values(), ElementsAre(kLowest, 0, 0));
  EXPECT_EQ(dx[0], 0);
}

/// Two ranks with a logit each, 10,000 and −10,000; the label is the lower one.
TEST(Vocabulary, OfHugeLogitsStaysFinite) {
  ReferenceOps ops;
  Tensor x({1, 1}, {1e4f}), w({2, 1}, {1, -1}), statistics({2, 3, 1}), lse({1}), dx({1, 1}), dw({2, 1});
  Ids labels({1}, {1});
  Scalar loss({1});
  float sum = 0;
  const auto of = [](TensorView all, std::int64_t rank) { return all.rows(rank, rank + 1); };
  for (std::int64_t p : {0, 1}) {
    ops.vocabulary_statistics({.x = x,
                               .w = of(w, p),
                               .labels = labels,
                               .statistics = of(statistics, p).reshape({3, 1}),
                               .first_id = p,
                               .vocabulary = 2});
  }
  ops.vocabulary_loss({.labels = labels, .statistics = statistics, .lse = lse, .loss_sum = loss, .rows = 1});
  for (std::int64_t p : {0, 1}) {
    ops.vocabulary_gradient({.x = x,
                             .w = of(w, p),
                             .labels = labels,
                             .lse = lse,
                             .dx = dx,
                             .dw = of(dw, p),
                             .first_id = p,
                             .vocabulary = 2});
    sum += dx[0];
  }

  EXPECT_DOUBLE_EQ(loss[0], 2e4);
  EXPECT_FLOAT_EQ(sum, 2);
  EXPECT_THAT(dw.values(), ElementsAre(1e4f, -1e4f));
}

TEST(Vocabulary, LossIsAdded) {
  ReferenceOps ops;
  Tensor statistics({1, 3, 1}, {2, 1, 0.5f}), lse({1});
  Ids labels({1}, {0});
  Scalar loss({1}, {100});

  ops.vocabulary_loss({.labels = labels, .statistics = statistics, .lse = lse, .loss_sum = loss, .rows = 1});

  EXPECT_DOUBLE_EQ(loss[0], 101.5);
  EXPECT_EQ(lse[0], 2);
}

/// What both operators that see a projection say of labels {good, bad}; of statistics in full.
std::string refusal_of(std::int32_t good, std::int32_t bad, std::int64_t first_id, std::int64_t vocabulary) {
  ReferenceOps ops;
  Tensor x({2, 1}), w({4, 1}), statistics({3, 2}), lse({2}), dx({2, 1}), dw({4, 1});
  Ids labels({2}, {good, bad});
  const std::string of_statistics = message_of<DeviceError>([&] {
    ops.vocabulary_statistics({.x = x,
                               .w = w,
                               .labels = labels,
                               .statistics = statistics,
                               .first_id = first_id,
                               .vocabulary = vocabulary});
  });
  const std::string of_gradient = message_of<DeviceError>([&] {
    ops.vocabulary_gradient({.x = x,
                             .w = w,
                             .labels = labels,
                             .lse = lse,
                             .dx = dx,
                             .dw = dw,
                             .first_id = first_id,
                             .vocabulary = vocabulary});
  });
  const auto problem = [](const std::string& message) { return message.substr(message.find(':') + 2); };
  EXPECT_EQ(problem(of_gradient), problem(of_statistics));
  return of_statistics;
}

TEST(Vocabulary, RefusesALabelOutsideTheVocabulary) {
  EXPECT_EQ(refusal_of(3, 4, 0, 0),
            "vocabulary_statistics on device 'reference': label 4 of token 1 (the vocabulary has 4 entries)");
  EXPECT_THAT(refusal_of(0, -1, 0, 0), HasSubstr("label -1 of token 1 (the vocabulary has 4 entries)"));
  EXPECT_THAT(refusal_of(kIgnoredLabel, -99, 0, 4), HasSubstr("label -99 of token 1"));
}

TEST(Vocabulary, RefusesALabelThatNoRankHas) {
  EXPECT_THAT(refusal_of(19, 20, 8, 20), HasSubstr("label 20 of token 1 (the vocabulary has 20 entries)"));
  EXPECT_THAT(refusal_of(0, -1, 8, 20), HasSubstr("label -1 of token 1 (the vocabulary has 20 entries)"));
}

TEST(Vocabulary, OfAPartAloneBeginsAtItsFirstId) {
  EXPECT_THAT(refusal_of(8, 7, 8, 0),
              HasSubstr("label 7 of token 1 (the vocabulary has 4 entries from 8 on)"));
  EXPECT_THAT(refusal_of(11, 12, 8, 0), HasSubstr("label 12 of token 1"));
}

TEST(Vocabulary, RefusesALossOfALabelBelowZeroAndOfRowsThatAreNone) {
  ReferenceOps ops;
  Tensor statistics({1, 3, 2}), lse({2});
  Ids labels({2}, {1, 4}), bad({2}, {1, -1});
  Scalar loss({1});

  EXPECT_EQ(
      message_of<DeviceError>([&] {
        ops.vocabulary_loss({bad, statistics, lse, loss, 0, 2});
      }),
      "vocabulary_loss on device 'reference': label -1 of token 1 (an id is 0 or more; -100 is ignored)");
  EXPECT_EQ(message_of<DeviceError>([&] {
              ops.vocabulary_loss({labels, statistics, lse, loss, 1, 2});
            }),
            "vocabulary_loss on device 'reference': 2 rows from 1 (there are 2 tokens)");
}

}  // namespace
}  // namespace caravan::testing
