#include <fmt/format.h>

#include <cmath>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

enum class Documents { none, some };

struct AttentionCase {
  const char* name;
  std::int64_t batch, queries, keys, heads, kv_heads, head_dim;
  std::int64_t first_query = 0, first_key = 0, chunk = 0;
  Documents documents = Documents::none;
  float dropout = 0;
};

constexpr AttentionCase kCases[] = {
    {"one", 1, 1, 1, 1, 1, 1},
    {"odd", 2, 7, 7, 3, 3, 5},
    {"grouped", 2, 9, 9, 6, 2, 8},
    {"long", 1, 197, 197, 2, 1, 16},
    {"wide_head", 1, 40, 40, 2, 2, 128},
    {"widest_head", 1, 70, 70, 2, 1, 256},
    {"head_of_96", 2, 150, 150, 4, 2, 96},
    {"tiles", 2, 256, 256, 4, 2, 64},
    {"tiles_of_chunks", 2, 256, 256, 4, 1, 32, 0, 0, 64},
    {"chunks_across_tiles", 1, 200, 200, 2, 1, 64, 0, 0, 72},
    {"chunks", 2, 70, 70, 4, 2, 8, 0, 0, 16},
    {"chunk_of_one", 1, 5, 5, 1, 1, 4, 0, 0, 1},
    {"chunk_beyond_end", 1, 37, 37, 2, 1, 8, 0, 0, 100},
    {"documents", 2, 75, 75, 4, 2, 8, 0, 0, 0, Documents::some},
    {"chunks_documents", 2, 75, 75, 4, 2, 8, 0, 0, 9, Documents::some},
    {"dropout", 2, 33, 33, 4, 2, 8, 0, 0, 0, Documents::none, 0.2f},
    {"dropout_chunks", 1, 65, 65, 2, 2, 8, 0, 0, 16, Documents::none, 0.5f},
    {"decode", 2, 1, 40, 4, 2, 16, 39},
    {"prefill_piece", 1, 6, 40, 4, 2, 16, 34},
    {"decode_chunk", 2, 1, 6, 4, 2, 16, 37, 32, 8},
    {"cache_begins_before_chunk", 1, 3, 20, 2, 1, 8, 37, 20, 16},
};

struct AttentionOperands {
  Handle q, k, v, documents, out, lse;
};

/// Documents of 1, 2, 3, … tokens, other lengths in each sequence.
std::vector<std::int32_t> documents_of(const AttentionCase& c) {
  std::vector<std::int32_t> ids;
  for (std::int64_t b = 0; b < c.batch; ++b) {
    for (std::int64_t i = 0; i < c.queries; ++i) {
      ids.push_back(static_cast<std::int32_t>(std::sqrt(2.0 * static_cast<double>(i + 3 * b))));
    }
  }
  return ids;
}

AttentionOperands operands(ProblemBuilder& b, const AttentionCase& c) {
  const Shape queries{c.batch, c.queries, c.heads, c.head_dim}, keys{c.batch, c.keys, c.kv_heads, c.head_dim};
  return {b.random("q", queries, 2), b.random("k", keys, 2),
          b.random("v", keys),       b.indices("documents", {c.batch, c.queries}, documents_of(c)),
          b.output("out", queries),  b.f32_output("lse", {c.batch, c.heads, c.queries})};
}

AttentionForward forward_args(const AttentionCase& c, const AttentionOperands& o, const Views& v) {
  AttentionForward args{.q = v[o.q], .k = v[o.k], .v = v[o.v], .out = v[o.out], .lse = v[o.lse]};
  args.mask = {.first_query = c.first_query, .first_key = c.first_key, .chunk = c.chunk};
  if (c.documents == Documents::some) args.mask.documents = v[o.documents];
  args.dropout = {.probability = c.dropout, .key = {3, 4}, .first_row = 5};
  args.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  return args;
}

Problem attention_forward(const AttentionCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("attention_forward/{}", c.name), storage);
  const AttentionOperands o = operands(b, c);
  return b.build([=](Ops& ops, const Views& v) { ops.attention_forward(forward_args(c, o, v)); });
}

Problem attention_backward(const AttentionCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("attention_backward/{}", c.name), storage);
  const AttentionOperands o = operands(b, c);
  b.prepare([=](Ops& ops, const Views& v) { ops.attention_forward(forward_args(c, o, v)); });
  const Shape queries{c.batch, c.queries, c.heads, c.head_dim}, keys{c.batch, c.keys, c.kv_heads, c.head_dim};
  const Handle dout = b.random("dout", queries);
  // Their terms are dscores × keys or queries; dout·out, in which `out` may be rounded, cancels in each.
  const Handle dq = b.cancels(b.output("dq", queries), 3), dk = b.cancels(b.output("dk", keys), 3);
  const Handle dv = b.output("dv", keys);
  return b.build([=](Ops& ops, const Views& v) {
    const AttentionForward f = forward_args(c, o, v);
    ops.attention_backward({.q = f.q,
                            .k = f.k,
                            .v = f.v,
                            .out = f.out,
                            .lse = f.lse,
                            .dout = v[dout],
                            .dq = v[dq],
                            .dk = v[dk],
                            .dv = v[dv],
                            .mask = f.mask,
                            .dropout = f.dropout,
                            .scale = f.scale});
  });
}

}  // namespace

std::vector<Problem> attention_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const AttentionCase& c : kCases) {
    problems.push_back(attention_forward(c, storage));
    problems.push_back(attention_backward(c, storage));
  }
  return problems;
}

}  // namespace caravan::testing
