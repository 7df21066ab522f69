#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;

TEST(Embedding, CopiesRowsUnscaled) {
  ReferenceOps ops;
  Tensor table({3, 2}, {1, 2, 3, 4, 5, 6}), out({3, 2});
  Ids ids({3}, {2, 0, 2});

  ops.embedding_forward({.ids = ids, .table = table, .out = out});

  EXPECT_THAT(out.values(), ElementsAre(5, 6, 1, 2, 5, 6));
}

class EmbeddingGradients : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(EmbeddingGradients, OfTheTableMatchDifferencesWithRepeatedTokens) {
  ReferenceOps ops;
  const std::int64_t gap = GetParam();
  Tensor table = Tensor::random("table", {4, 3}, gap), out({5, 3}, {}, gap),
         dout = Tensor::random("dout", {5, 3}, gap);
  Tensor dtable({4, 3}, {}, gap);
  Ids ids({5}, {1, 3, 1, 1, 0});

  ops.embedding_backward_weight({.ids = ids, .dout = dout, .dtable = dtable});

  EXPECT_TRUE(is_gradient(dtable, table, [&] {
    ops.embedding_forward({.ids = ids, .table = table, .out = out});
    return weighted_sum(dout, out);
  }));
}

INSTANTIATE_TEST_SUITE_P(Gaps, EmbeddingGradients, ::testing::Values(0, 3));

TEST(Embedding, GradientsAreAdded) {
  ReferenceOps ops;
  Tensor dtable({2, 1}, {10, 20}), dout({2, 1}, {3, 4});
  Ids ids({2}, {1, 1});

  ops.embedding_backward_weight({.ids = ids, .dout = dout, .dtable = dtable});

  EXPECT_THAT(dtable.values(), ElementsAre(10, 27));
}

TEST(Embedding, RowsOfOtherRanksAreZeros) {
  ReferenceOps ops;
  Tensor table({2, 2}, {1, 2, 3, 4}), out({4, 2}, {9, 9, 9, 9, 9, 9, 9, 9});
  Ids ids({4}, {5, 4, 7, 6});

  ops.embedding_forward({.ids = ids, .table = table, .out = out, .first_id = 5, .vocabulary = 8});

  EXPECT_THAT(out.values(), ElementsAre(1, 2, 0, 0, 0, 0, 3, 4));
}

TEST(Embedding, TokensOfOtherRanksAddNothing) {
  ReferenceOps ops;
  Tensor dtable({2, 1}, {10, 20}), dout({4, 1}, {1, 2, 3, 4});
  Ids ids({4}, {5, 4, 7, 6});

  ops.embedding_backward_weight({.ids = ids, .dout = dout, .dtable = dtable, .first_id = 5, .vocabulary = 8});

  EXPECT_THAT(dtable.values(), ElementsAre(11, 24));
}

TEST(Embedding, RefusesAnIdOutsideTheTable) {
  ReferenceOps ops;
  Tensor table({3, 2}), out({2, 2});
  Ids ids({2}, {0, 3});

  EXPECT_EQ(message_of<DeviceError>([&] { ops.embedding_forward({.ids = ids, .table = table, .out = out}); }),
            "embedding_forward on device 'reference': id 3 of token 1 (the table has 3 rows)");
}

/// What both operators say of ids {good, bad} and a table of 3 rows, without their names.
std::string refusal_of(std::int32_t good, std::int32_t bad, std::int64_t first_id, std::int64_t vocabulary) {
  ReferenceOps ops;
  Tensor table({3, 2}), rows({2, 2});
  Ids ids({2}, {good, bad});
  const std::string forward = message_of<DeviceError>([&] {
    ops.embedding_forward(
        {.ids = ids, .table = table, .out = rows, .first_id = first_id, .vocabulary = vocabulary});
  });
  const std::string backward = message_of<DeviceError>([&] {
    ops.embedding_backward_weight(
        {.ids = ids, .dout = rows, .dtable = table, .first_id = first_id, .vocabulary = vocabulary});
  });
  const auto problem = [](const std::string& message) { return message.substr(message.find(':') + 2); };
  EXPECT_EQ(problem(backward), problem(forward));
  return problem(forward);
}

TEST(Embedding, RefusesAnIdThatNoRankHas) {
  EXPECT_EQ(refusal_of(2, -1, 0, 0), "id -1 of token 1 (the table has 3 rows)");
  EXPECT_EQ(refusal_of(7, 8, 4, 8), "id 8 of token 1 (the table has 8 rows)");
  EXPECT_EQ(refusal_of(0, -1, 4, 8), "id -1 of token 1 (the table has 8 rows)");
}

TEST(Embedding, OfAPartAloneBeginsAtItsFirstId) {
  EXPECT_EQ(refusal_of(4, 3, 4, 0), "id 3 of token 1 (the table has 3 rows from 4 on)");
  EXPECT_EQ(refusal_of(6, 7, 4, 0), "id 7 of token 1 (the table has 3 rows from 4 on)");
}

TEST(Positions, RepeatForEachSequenceFromTheFirst) {
  ReferenceOps ops;
  Tensor x({4, 1}, {100, 200, 300, 400}), table({4, 1}, {1, 2, 3, 4});

  ops.add_positions({.x = x, .table = table, .tokens = TokenMap::piece(1, 2)});

  EXPECT_THAT(x.values(), ElementsAre(102, 203, 302, 403));
}

TEST(Positions, BeyondTheTableAreRefused) {
  ReferenceOps ops;
  Tensor x({2, 1}), table({4, 1});

  EXPECT_EQ(message_of<DeviceError>(
                [&] { ops.add_positions({.x = x, .table = table, .tokens = TokenMap::piece(3, 2)}); }),
            "add_positions on device 'reference': position 4 (the table of positions has 4 rows)");
}

}  // namespace
}  // namespace caravan::testing
