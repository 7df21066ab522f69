#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "tests/ops/attention_problem.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;

/// With equal scores and v[j] = onehot(j), row i of the output is 1/n at the n visible keys: the mask made
/// visible.
std::vector<std::vector<int>> visible_keys(std::int64_t queries, std::int64_t length,
                                           const AttentionMask& mask) {
  AttentionProblem p({.queries = queries, .keys = length, .head_dim = length});
  p.q = Tensor({1, queries, 1, length});
  p.v = Tensor({1, length, 1, length});
  for (std::int64_t j = 0; j < length; ++j) p.v[j * length + j] = 1;
  p.mask = mask;
  p.forward();

  std::vector<std::vector<int>> rows(static_cast<std::size_t>(queries));
  for (std::int64_t i = 0; i < queries * length; ++i) {
    if (p.out[i] > 0) rows[static_cast<std::size_t>(i / length)].push_back(static_cast<int>(i % length));
  }
  for (std::int64_t i = 0; i < queries; ++i) {
    const auto n = static_cast<float>(rows[static_cast<std::size_t>(i)].size());
    EXPECT_FLOAT_EQ(p.lse[i], std::log(n)) << "row " << i;
  }
  return rows;
}

std::vector<std::vector<int>> visible_keys(std::int64_t length, const AttentionMask& mask) {
  return visible_keys(length, length, mask);
}

TEST(AttentionMask, IsCausal) {
  EXPECT_THAT(visible_keys(3, {}), ElementsAre(ElementsAre(0), ElementsAre(0, 1), ElementsAre(0, 1, 2)));
}

TEST(AttentionMask, ChunksAreBlocksAndNoSlidingWindow) {
  EXPECT_THAT(visible_keys(7, {.chunk = 3}),
              ElementsAre(ElementsAre(0), ElementsAre(0, 1), ElementsAre(0, 1, 2), ElementsAre(3),
                          ElementsAre(3, 4), ElementsAre(3, 4, 5), ElementsAre(6)));
}

TEST(AttentionMask, ChunksLieAtAbsolutePositions) {
  EXPECT_THAT(visible_keys(4, {.first_query = 2, .first_key = 2, .chunk = 3}),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(1, 2), ElementsAre(1, 2, 3)));
}

TEST(AttentionMask, DocumentsDoNotSeeEachOther) {
  Ids documents({1, 5}, {4, 4, 9, 9, 4});

  EXPECT_THAT(visible_keys(5, {.query_documents = documents, .key_documents = documents}),
              ElementsAre(ElementsAre(0), ElementsAre(0, 1), ElementsAre(2), ElementsAre(2, 3),
                          ElementsAre(0, 1, 4)));
}

TEST(AttentionMask, ChunksAndDocumentsBothLimit) {
  Ids documents({1, 5}, {1, 1, 1, 2, 2});

  EXPECT_THAT(visible_keys(5, {.chunk = 2, .query_documents = documents, .key_documents = documents}),
              ElementsAre(ElementsAre(0), ElementsAre(0, 1), ElementsAre(2), ElementsAre(3), ElementsAre(4)));
}

/// A block of a sequence and all keys up to its end, as context ranks attend.
TEST(AttentionMask, DocumentsOfQueriesAreApartFromThoseOfKeys) {
  Ids queries({1, 3}, {1, 2, 2}), keys({1, 6}, {0, 0, 1, 1, 2, 2});

  EXPECT_THAT(visible_keys(3, 6, {.first_query = 3, .query_documents = queries, .key_documents = keys}),
              ElementsAre(ElementsAre(2, 3), ElementsAre(4), ElementsAre(4, 5)));
}

TEST(AttentionMask, DocumentsMayBeRowsOfWholeSequences) {
  Ids whole({2, 6}, {0, 0, 1, 1, 2, 2, 0, 1, 1, 1, 1, 1});
  const TensorView documents = whole;
  AttentionProblem p({.batch = 2, .queries = 3, .keys = 6}), alone({.queries = 3, .keys = 6});
  p.mask = {.first_query = 3, .query_documents = documents.slice(1, 3, 6), .key_documents = documents};
  Ids queries({1, 3}, {1, 1, 1}), keys({1, 6}, {0, 1, 1, 1, 1, 1});
  alone.mask = {.first_query = 3, .query_documents = queries, .key_documents = keys};
  for (std::int64_t i = 0; i < alone.q.size(); ++i) alone.q[i] = p.q[alone.q.size() + i];
  for (std::int64_t i = 0; i < alone.k.size(); ++i)
    alone.k[i] = p.k[alone.k.size() + i], alone.v[i] = p.v[alone.v.size() + i];

  p.forward();
  alone.forward();

  for (std::int64_t i = 0; i < alone.out.size(); ++i)
    EXPECT_EQ(p.out[alone.out.size() + i], alone.out[i]) << i;
}

TEST(AttentionMask, RefusesDocumentsOfOneSide) {
  Ids documents({1, 2}, {0, 0});
  AttentionProblem p({.queries = 2, .keys = 2});
  p.mask.query_documents = documents;

  EXPECT_THAT(message_of<Error>([&] { p.forward(); }), ::testing::HasSubstr("documents of queries alone"));
}

TEST(Attention, OfOneKeyIsItsValue) {
  AttentionProblem p({.head_dim = 3});

  p.forward();

  EXPECT_EQ(p.out.values(), p.v.values());
  EXPECT_NEAR(p.lse[0], p.scale * (p.q[0] * p.k[0] + p.q[1] * p.k[1] + p.q[2] * p.k[2]), 1e-6);
}

TEST(Attention, OfTwoKeysIsASigmoid) {
  AttentionProblem p({.queries = 2, .keys = 2, .head_dim = 1});
  p.q = Tensor({1, 2, 1, 1}, {0, 2});
  p.k = Tensor({1, 2, 1, 1}, {1, 3});
  p.v = Tensor({1, 2, 1, 1}, {0, 1});
  p.scale = 0.5f;

  p.forward();

  EXPECT_FLOAT_EQ(p.out[1], static_cast<float>(1 / (1 + std::exp(-0.5 * 2 * (3 - 1)))));
}

TEST(Attention, WithHugeScoresStaysFinite) {
  AttentionProblem p({.queries = 2, .keys = 2, .head_dim = 1});
  p.q = Tensor({1, 2, 1, 1}, {1e4f, 1e4f});
  p.k = Tensor({1, 2, 1, 1}, {1e4f, -1e4f});
  p.v = Tensor({1, 2, 1, 1}, {5, 7});

  p.forward();

  EXPECT_THAT(p.out.values(), ElementsAre(5, 5));
  EXPECT_FLOAT_EQ(p.lse[1], 1e8f);
}

TEST(Attention, RowThatSeesNothingIsZero) {
  AttentionProblem p({.queries = 1, .keys = 2, .head_dim = 1});
  p.mask = {.first_query = 5, .first_key = 0, .chunk = 4};

  p.forward();

  EXPECT_EQ(p.out[0], 0);
  EXPECT_EQ(p.lse[0], -std::numeric_limits<float>::infinity());
}

TEST(Attention, GroupedQueriesEqualRepeatedKeysAndValues) {
  AttentionProblem grouped({.batch = 2, .queries = 5, .keys = 5, .heads = 6, .kv_heads = 2, .head_dim = 3});
  AttentionProblem full({.batch = 2, .queries = 5, .keys = 5, .heads = 6, .kv_heads = 6, .head_dim = 3});
  for (std::int64_t i = 0; i < full.k.size(); ++i) {
    const std::int64_t row = i / 18, head = i / 3 % 6, d = i % 3;
    full.k[i] = grouped.k[(row * 2 + head / 3) * 3 + d];
    full.v[i] = grouped.v[(row * 2 + head / 3) * 3 + d];
  }

  grouped.forward();
  full.forward();

  EXPECT_EQ(grouped.out.values(), full.out.values());
  EXPECT_EQ(grouped.lse.values(), full.lse.values());
}

TEST(Attention, PackedDocumentsEqualSequencesOfTheirOwn) {
  AttentionProblem packed({.queries = 5, .keys = 5, .heads = 2, .kv_heads = 1});
  Ids documents({1, 5}, {0, 0, 1, 1, 1});
  packed.mask.query_documents = packed.mask.key_documents = documents;
  AttentionProblem alone({.queries = 3, .keys = 3, .heads = 2, .kv_heads = 1});
  for (std::int64_t i = 0; i < alone.q.size(); ++i) alone.q[i] = packed.q[2 * 4 + i];
  for (std::int64_t i = 0; i < alone.k.size(); ++i)
    alone.k[i] = packed.k[2 * 2 + i], alone.v[i] = packed.v[2 * 2 + i];

  packed.forward();
  alone.forward();

  for (std::int64_t i = 0; i < alone.out.size(); ++i)
    EXPECT_FLOAT_EQ(packed.out[2 * 4 + i], alone.out[i]) << i;
}

struct CacheCase {
  const char* name;
  std::int64_t first_query, queries, first_key, chunk;
};

void PrintTo(const CacheCase& c, std::ostream* out) {
  *out << c.name;
}

class AttentionWithCache : public ::testing::TestWithParam<CacheCase> {};

/// 12 positions at once, against the last ones alone with the keys that a cache would hold.
TEST_P(AttentionWithCache, EqualsTheRowsOfTheWhole) {
  const CacheCase& c = GetParam();
  const std::int64_t keys = c.first_query + c.queries - c.first_key;
  AttentionProblem whole({.queries = 12, .keys = 12, .heads = 2, .kv_heads = 1});
  whole.mask.chunk = c.chunk;
  AttentionProblem part({.queries = c.queries, .keys = keys, .heads = 2, .kv_heads = 1});
  part.mask = {.first_query = c.first_query, .first_key = c.first_key, .chunk = c.chunk};
  for (std::int64_t i = 0; i < part.q.size(); ++i) part.q[i] = whole.q[c.first_query * 4 + i];
  for (std::int64_t i = 0; i < part.k.size(); ++i) part.k[i] = whole.k[c.first_key * 2 + i];
  for (std::int64_t i = 0; i < part.v.size(); ++i) part.v[i] = whole.v[c.first_key * 2 + i];

  whole.forward();
  part.forward();

  for (std::int64_t i = 0; i < part.out.size(); ++i) {
    EXPECT_FLOAT_EQ(part.out[i], whole.out[c.first_query * 4 + i]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionWithCache,
                         ::testing::Values(CacheCase{"one_token", 11, 1, 0, 0},
                                           CacheCase{"piece", 7, 4, 0, 0},
                                           CacheCase{"chunk_only", 10, 1, 8, 4},
                                           CacheCase{"first_of_chunk", 8, 1, 8, 4},
                                           CacheCase{"piece_across_chunks", 6, 5, 4, 4},
                                           CacheCase{"cache_longer_than_chunk", 9, 2, 3, 4}),
                         ::testing::PrintToStringParamName());

TEST(AttentionDropout, KeepsTheMeanOfTheOutput) {
  AttentionProblem p({.batch = 2000, .queries = 1, .keys = 1, .head_dim = 1});
  p.v = Tensor({2000, 1, 1, 1}, std::vector<float>(2000, 1));
  p.dropout = {.probability = 0.25f, .key = {1, 2}, .global_length = 1};

  p.forward();

  double total = 0;
  for (float value : p.out.values()) total += value;
  EXPECT_NEAR(total / 2000, 1, 4 * std::sqrt(0.25 / 0.75 / 2000));
}

TEST(AttentionDropout, DrawsTheDocumentedElementForEachProbability) {
  AttentionProblem p({.batch = 2, .queries = 4, .keys = 4, .heads = 3, .kv_heads = 3, .head_dim = 4});
  p.q = Tensor({2, 4, 3, 4});
  for (std::int64_t i = 0; i < p.v.size(); ++i) p.v[i] = i / 12 % 4 == i % 4 ? 1 : 0;
  p.dropout = {.probability = 0.5f, .key = {1, 2}, .first_sample = 7, .global_length = 4};

  p.forward();

  for (std::int64_t n = 0; n < p.out.size(); ++n) {
    const std::int64_t b = n / 48, i = n / 12 % 4, head = n / 4 % 3, j = n % 4;
    const float factor = dropout_factor({1, 2}, 7 + b, (head * 4 + i) * 4 + j, 0.5f);
    EXPECT_FLOAT_EQ(p.out[n], j <= i ? factor / static_cast<float>(i + 1) : 0) << n;
  }
}

TEST(AttentionDropout, DependsOnTheGlobalSequenceAlone) {
  AttentionProblem whole({.batch = 3, .queries = 4, .keys = 4, .heads = 2, .kv_heads = 2});
  whole.dropout = {.probability = 0.5f, .key = {1, 2}, .first_sample = 7, .global_length = 4};
  AttentionProblem last({.batch = 1, .queries = 4, .keys = 4, .heads = 2, .kv_heads = 2});
  last.dropout = {.probability = 0.5f, .key = {1, 2}, .first_sample = 9, .global_length = 4};
  for (std::int64_t i = 0; i < 16; ++i) last.q[i] = whole.q[32 + i];
  for (std::int64_t i = 0; i < 16; ++i) last.k[i] = whole.k[32 + i], last.v[i] = whole.v[32 + i];

  whole.forward();
  last.forward();

  for (std::int64_t i = 0; i < 16; ++i) EXPECT_EQ(last.out[i], whole.out[32 + i]) << i;
}

/// The last four queries of eight, with the keys that they see.
TEST(AttentionDropout, OfABlockDrawsWhatItsPositionsDrawInTheWholeSequence) {
  AttentionProblem whole({.queries = 8, .keys = 8, .heads = 2, .kv_heads = 2});
  AttentionProblem block({.queries = 4, .keys = 8, .heads = 2, .kv_heads = 2});
  whole.dropout = block.dropout = {.probability = 0.5f, .key = {1, 2}, .first_sample = 7, .global_length = 8};
  block.mask.first_query = 4;
  for (std::int64_t i = 0; i < 16; ++i) block.q[i] = whole.q[16 + i];
  for (std::int64_t i = 0; i < 32; ++i) block.k[i] = whole.k[i], block.v[i] = whole.v[i];

  whole.forward();
  block.forward();

  for (std::int64_t i = 0; i < 16; ++i) EXPECT_EQ(block.out[i], whole.out[16 + i]) << i;
}

TEST(AttentionDropout, BeyondTheSequenceIsRefused) {
  AttentionProblem p({.queries = 4, .keys = 4});
  p.dropout = {.probability = 0.5f, .global_length = 3};

  EXPECT_EQ(message_of<DeviceError>([&] { p.forward(); }),
            "attention_forward on device 'reference': dropout at position 3 (sequences have 3 tokens)");
}

TEST(Attention, RefusesHeadsThatDoNotShareEvenly) {
  AttentionProblem p({.heads = 3, .kv_heads = 2});

  EXPECT_EQ(
      message_of<DeviceError>([&] { p.forward(); }),
      "attention_forward on device 'reference': 3 query heads on 2 key/value heads (must be a multiple)");
}

}  // namespace
}  // namespace caravan::testing
