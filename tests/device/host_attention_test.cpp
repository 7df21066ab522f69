#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/device/compare.hpp"
#include "tests/device/host_fixture.hpp"

// What is particular to the tiled attention of device host: sequences of several tiles, heads of several
// vectors, scores that are bounded by norms and scores that are not, decoding.
namespace caravan::testing {
namespace {

enum class Documents { none, some };

struct Case {
  const char* name;
  std::int64_t batch, sequence, heads, kv_heads, head_dim;
  std::int64_t chunk = 0;
  Documents documents = Documents::none;
  float scale = 1;  ///< times 1/√D; 5.5 at D = 16 and 4 at D = 128 leave the bound of the norms
  float dropout = 0;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

constexpr Case kCases[] = {
    {"tiles", 1, 300, 2, 2, 16},
    {"tiles_width_of_three_vectors", 1, 130, 2, 1, 48},
    {"tiles_width_64", 1, 200, 4, 2, 64},
    {"tiles_width_96", 1, 140, 2, 2, 96},
    {"odd_width", 2, 117, 3, 1, 20},
    {"large_scores", 1, 300, 2, 1, 16, 0, Documents::none, 5.5f},
    {"large_scores_wide", 1, 130, 2, 2, 128, 0, Documents::none, 4},
    {"large_scores_chunks", 1, 260, 2, 2, 16, 70, Documents::none, 5.5f},
    {"large_scores_documents", 2, 150, 2, 2, 16, 0, Documents::some, 5.5f},
    {"chunk_of_a_tile", 1, 300, 2, 2, 16, 96},
    {"chunk_inside_blocks", 1, 300, 2, 2, 32, 7},
    {"documents", 2, 260, 2, 1, 16, 0, Documents::some},
    {"documents_chunks", 2, 260, 2, 1, 16, 50, Documents::some},
    {"dropout", 1, 150, 2, 1, 16, 0, Documents::none, 1, 0.3f},
    {"dropout_large_scores", 1, 150, 2, 1, 16, 40, Documents::none, 5.5f, 0.3f},
};

/// Runs of one document, of growing length, that return: the same document twice in a sequence is one
/// document.
std::vector<std::int32_t> documents_of(const Case& c) {
  std::vector<std::int32_t> ids;
  for (std::int64_t b = 0; b < c.batch; ++b) {
    for (std::int64_t i = 0; i < c.sequence; ++i) {
      ids.push_back(static_cast<std::int32_t>(std::sqrt(3.0 * static_cast<double>(i + 20 * b))) % 9);
    }
  }
  return ids;
}

struct Operands {
  Handle q, k, v, documents, out, lse;
};

Operands operands(ProblemBuilder& b, const Case& c) {
  const Shape queries{c.batch, c.sequence, c.heads, c.head_dim},
      keys{c.batch, c.sequence, c.kv_heads, c.head_dim};
  return {b.random("q", queries),   b.random("k", keys),
          b.random("v", keys),      b.indices("documents", {c.batch, c.sequence}, documents_of(c)),
          b.output("out", queries), b.f32_output("lse", {c.batch, c.heads, c.sequence})};
}

AttentionForward forward_args(const Case& c, const Operands& o, const Views& v) {
  AttentionForward args;
  args.q = v[o.q], args.k = v[o.k], args.v = v[o.v], args.out = v[o.out], args.lse = v[o.lse];
  args.mask.chunk = c.chunk;
  if (c.documents == Documents::some) args.mask.query_documents = args.mask.key_documents = v[o.documents];
  args.dropout.probability = c.dropout;
  args.dropout.key = {3, 4};
  args.dropout.global_length = c.sequence;
  args.scale = c.scale / std::sqrt(static_cast<float>(c.head_dim));
  return args;
}

class HostAttention : public ::testing::TestWithParam<Case> {};

TEST_P(HostAttention, forward_equals_the_reference) {
  const Case& c = GetParam();
  ProblemBuilder b(fmt::format("host_forward/{}", c.name), {.gap = 5});
  const Operands o = operands(b, c);
  const Problem problem =
      b.build([&](Ops& ops, const Views& v) { ops.attention_forward(forward_args(c, o, v)); });
  EXPECT_TRUE(equals_reference(problem, host_subject()));
}

TEST_P(HostAttention, backward_equals_the_reference) {
  const Case& c = GetParam();
  ProblemBuilder b(fmt::format("host_backward/{}", c.name), {.gap = 5});
  const Operands o = operands(b, c);
  b.prepare([&](Ops& ops, const Views& v) { ops.attention_forward(forward_args(c, o, v)); });
  const Shape queries{c.batch, c.sequence, c.heads, c.head_dim},
      keys{c.batch, c.sequence, c.kv_heads, c.head_dim};
  const Handle dout = b.random("dout", queries);
  const Handle dq = b.output("dq", queries), dk = b.output("dk", keys), dv = b.output("dv", keys);
  const Problem problem = b.build([&](Ops& ops, const Views& v) {
    const AttentionForward f = forward_args(c, o, v);
    AttentionBackward args;
    args.q = f.q, args.k = f.k, args.v = f.v, args.out = f.out, args.lse = f.lse, args.dout = v[dout];
    args.dq = v[dq], args.dk = v[dk], args.dv = v[dv];
    args.mask = f.mask, args.dropout = f.dropout, args.scale = f.scale;
    ops.attention_backward(args);
  });
  EXPECT_TRUE(equals_reference(problem, host_subject()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, HostAttention, ::testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

constexpr std::int64_t kKeys = 257, kHeads = 4, kKvHeads = 2, kWidth = 16;

/// Queries [first, first + count) on all keys.
std::vector<float> attend(const std::vector<float>& q, const std::vector<float>& k,
                          const std::vector<float>& v, std::int64_t first, std::int64_t count) {
  std::vector<float> out(static_cast<std::size_t>(count * kHeads * kWidth)),
      lse(static_cast<std::size_t>(kHeads * count));
  AttentionForward args;
  args.q = TensorView(const_cast<float*>(q.data()) + first * kHeads * kWidth, DType::f32,
                      {1, count, kHeads, kWidth});
  args.k = TensorView(const_cast<float*>(k.data()), DType::f32, {1, kKeys, kKvHeads, kWidth});
  args.v = TensorView(const_cast<float*>(v.data()), DType::f32, {1, kKeys, kKvHeads, kWidth});
  args.out = TensorView(out.data(), DType::f32, {1, count, kHeads, kWidth});
  args.lse = TensorView(lse.data(), DType::f32, {1, kHeads, count});
  args.mask.first_query = first;
  args.scale = 0.25f;
  host_device().ops().attention_forward(args);
  return out;
}

std::vector<float> draw(std::uint64_t stream, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = normal({1, stream}, 0, i);
  return values;
}

TEST(HostDecoding, one_query_equals_its_row_of_the_whole_sequence) {
  const auto q = draw(1, kKeys * kHeads * kWidth), k = draw(2, kKeys * kKvHeads * kWidth),
             v = draw(3, kKeys * kKvHeads * kWidth);
  const auto whole = attend(q, k, v, 0, kKeys);
  for (std::int64_t first : {0, 1, 100, 256}) {
    const auto one = attend(q, k, v, first, 1);
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_NEAR(one[i], whole[static_cast<std::size_t>(first * kHeads * kWidth) + i], 2e-6f)
          << first << " " << i;
    }
  }
}

TEST(HostAttentionNumbers, a_score_that_is_not_a_number_reaches_only_the_queries_that_see_it) {
  auto q = draw(1, kKeys * kHeads * kWidth);
  auto k = draw(2, kKeys * kKvHeads * kWidth);
  const auto v = draw(3, kKeys * kKvHeads * kWidth);
  k[100 * kKvHeads * kWidth] = std::numeric_limits<float>::quiet_NaN();  // key 100 of kv head 0
  const auto out = attend(q, k, v, 0, kKeys);
  const auto at = [&](std::int64_t i, std::int64_t head) {
    return out[static_cast<std::size_t>((i * kHeads + head) * kWidth)];
  };
  EXPECT_TRUE(std::isnan(at(100, 0)));
  EXPECT_TRUE(std::isnan(at(256, 1)));
  EXPECT_FALSE(std::isnan(at(256, 2)));  // reads kv head 1
  EXPECT_FALSE(std::isnan(at(50, 0)));   // does not see key 100
}

}  // namespace
}  // namespace caravan::testing
