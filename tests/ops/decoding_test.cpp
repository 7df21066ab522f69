#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

constexpr std::int64_t kPage = 2, kWidth = 4;

/// Two slots of three pages of two positions each, in no order, for one key/value head.
struct Cache {
  Tensor keys{{6, kPage, 1, kWidth}}, values{{6, kPage, 1, kWidth}};
  Ids pages{{2, 3}, {4, 0, 2, 5, 1, 3}};

  PagedKeys paged() { return {keys, values}; }
  std::int64_t element(std::int64_t slot, std::int64_t position) {
    return (pages[slot * 3 + position / kPage] * kPage + position % kPage) * kWidth;
  }
};

/// Row t of queries, keys and values, of two query heads and one other.
Tensor random_rows(std::int64_t rows) {
  return Tensor::random("qkv", {rows, 4 * kWidth});
}

QkPrepare plain() {
  return {.cos = {}, .sin = {}, .heads = 2, .kv_heads = 1, .head_dim = kWidth};
}

TEST(QkPrepareCached, PutsKeysAndValuesInTheirPages) {
  ReferenceOps ops;
  Cache cache;
  Tensor qkv = random_rows(3);
  Ids slots({3}, {1, 0, 1}), positions({3}, {2, 5, 3});

  ops.qk_prepare_cached({plain(), qkv, {slots, positions, cache.pages}, cache.paged()});

  for (std::int64_t t = 0; t < 3; ++t) {
    const std::int64_t at = cache.element(slots[t], positions[t]);
    for (std::int64_t d = 0; d < kWidth; ++d) {
      EXPECT_EQ(cache.keys[at + d], qkv[t * 4 * kWidth + 2 * kWidth + d]) << t;
      EXPECT_EQ(cache.values[at + d], qkv[t * 4 * kWidth + 3 * kWidth + d]) << t;
    }
  }
}

TEST(QkPrepareCached, PreparesRowsAsAtTheirPositions) {
  ReferenceOps ops;
  Cache cache;
  Tensor cos = Tensor::random("cos", {6, 2}), sin = Tensor::random("sin", {6, 2});
  QkPrepare how{.cos = cos,
                .sin = sin,
                .heads = 2,
                .kv_heads = 1,
                .head_dim = kWidth,
                .norm_eps = 1e-5f,
                .temperature_scale = 0.1f,
                .floor_scale = 2};
  Tensor qkv = random_rows(2), expected = qkv, rstd({1, 3});
  Ids slots({2}, {0, 1}), positions({2}, {3, 5});
  for (std::int64_t t = 0; t < 2; ++t) {
    how.tokens = TokenMap::piece(positions[t], 1);
    ops.qk_prepare_forward({how, TensorView(expected).rows(t, t + 1), rstd});
  }

  ops.qk_prepare_cached({how, qkv, {slots, positions, cache.pages}, cache.paged()});

  EXPECT_EQ(qkv.values(), expected.values());
}

TEST(QkPrepareCached, PaddingWritesNothing) {
  ReferenceOps ops;
  Cache cache;
  Tensor qkv = random_rows(1);
  Ids slots({1}, {-1}), positions({1}, {77});

  ops.qk_prepare_cached({plain(), qkv, {slots, positions, cache.pages}, cache.paged()});

  EXPECT_EQ(qkv.values(), random_rows(1).values());
  EXPECT_THAT(cache.keys.values(), ::testing::Each(0));
}

TEST(QkPrepareCached, ARingTurnsRound) {
  ReferenceOps ops;
  Cache cache;
  Tensor qkv = random_rows(1);
  Ids slots({1}, {0}), positions({1}, {1003});  // 1003 mod 5 = 3

  ops.qk_prepare_cached({plain(), qkv, {slots, positions, cache.pages, 5}, cache.paged()});

  EXPECT_EQ(cache.keys[cache.element(0, 3)], qkv[2 * kWidth]);
}

TEST(QkPrepareCached, RowsOutsideTheCacheAreRefused) {
  ReferenceOps ops;
  Cache cache;
  const auto refusal = [&](std::int32_t slot, std::int32_t position) {
    Tensor qkv = random_rows(1);
    Ids slots({1}, {slot}), positions({1}, {position});
    return message_of<DeviceError>([&] {
      ops.qk_prepare_cached({plain(), qkv, {slots, positions, cache.pages}, cache.paged()});
    });
  };
  EXPECT_THAT(refusal(2, 0), ::testing::HasSubstr("slots[0] is 2 (there are 2)"));
  EXPECT_THAT(refusal(0, 6), ::testing::HasSubstr("positions[0] is 6 (a slot has 3 pages of 2)"));
  EXPECT_THAT(refusal(0, -1), ::testing::HasSubstr("positions[0] is -1"));
  cache.pages[0] = 6;
  EXPECT_THAT(refusal(0, 0), ::testing::HasSubstr("pages[0, 0] is 6 (there are 6)"));
}

/// A cache with random keys and values in both slots.
struct Filled : Cache {
  Filled() {
    keys = Tensor::random("keys", keys.shape());
    values = Tensor::random("values", values.shape());
  }
  /// softmax over the positions [first, last] of a slot, by the formula.
  double attended(const Tensor& q, std::int64_t row, std::int64_t head, std::int64_t slot, std::int64_t first,
                  std::int64_t last, std::int64_t d) {
    double total = 0, sum = 0;
    for (std::int64_t p = first; p <= last; ++p) {
      double score = 0;
      for (std::int64_t i = 0; i < kWidth; ++i)
        score += 0.5 * double{q[(row * 2 + head) * kWidth + i]} * keys[element(slot, p) + i];
      total += std::exp(score);
      sum += std::exp(score) * values[element(slot, p) + d];
    }
    return sum / total;
  }
};

void expect_attended(std::int64_t chunk, const std::vector<std::int64_t>& first_seen_of_rows) {
  ReferenceOps ops;
  Filled cache;
  Tensor q = Tensor::random("q", {3, 2, kWidth}), out({3, 2, kWidth});
  Ids slots({3}, {0, 1, 0}), positions({3}, {5, 2, 4});

  ops.paged_attention({q, cache.paged(), out, {slots, positions, cache.pages}, chunk, 0.5f});

  for (std::int64_t t = 0; t < 3; ++t) {
    for (std::int64_t head = 0; head < 2; ++head) {
      for (std::int64_t d = 0; d < kWidth; ++d)
        EXPECT_NEAR(out[(t * 2 + head) * kWidth + d],
                    cache.attended(q, t, head, slots[t], first_seen_of_rows[static_cast<std::size_t>(t)],
                                   positions[t], d),
                    1e-6)
            << t;
    }
  }
}

TEST(PagedAttention, SeesAllEarlierPositionsOfItsSlot) {
  expect_attended(0, {0, 0, 0});
}
TEST(PagedAttention, SeesItsChunkAlone) {
  expect_attended(4, {4, 0, 4});
}

TEST(PagedAttention, OfPaddingIsNothing) {
  ReferenceOps ops;
  Filled cache;
  Tensor q = Tensor::random("q", {1, 2, kWidth}), out = Tensor::random("out", {1, 2, kWidth});
  Ids slots({1}, {-1}), positions({1}, {0});

  ops.paged_attention({q, cache.paged(), out, {slots, positions, cache.pages}, 0, 0.5f});

  EXPECT_THAT(out.values(), ::testing::Each(0));
}

TEST(AdvanceRows, GoOnWithWhatWasDrawn) {
  ReferenceOps ops;
  Ids drawn({4}, {7, 9, 5, 6}), stops({2}, {1, 9}), left({3}, {4, 4, 1}), tokens({4}, {3, 3, 3, 3}),
      slots({4}, {0, 1, 2, -1}), positions({4}, {10, 20, 30, 40});

  ops.advance_rows({drawn, stops, left, tokens, slots, positions});

  EXPECT_EQ(tokens.values(), (std::vector<std::int32_t>{7, 0, 0, 0}));
  EXPECT_EQ(slots.values(), (std::vector<std::int32_t>{0, -1, -1, -1}));
  EXPECT_EQ(positions[0], 11);
  EXPECT_EQ(left.values(), (std::vector<std::int32_t>{3, 3, 0}));
}

}  // namespace
}  // namespace caravan::testing
