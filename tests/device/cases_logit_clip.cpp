#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

constexpr double kLowest = -std::numeric_limits<double>::infinity();

struct LogitCase {
  const char* name;
  std::int64_t batch, queries, keys, heads, kv_heads, head_dim;
  std::int64_t first_query = 0, first_key = 0, chunk = 0, document = 0;  ///< tokens of a document; 0: one
};

constexpr LogitCase kCases[] = {
    {"one", 1, 1, 1, 1, 1, 1},
    {"odd", 2, 7, 7, 3, 3, 5},
    {"grouped", 2, 9, 9, 6, 2, 8},
    {"long", 1, 197, 197, 2, 1, 16},
    {"widest_head", 1, 70, 70, 2, 1, 256},
    {"tiles_of_chunks", 2, 256, 256, 4, 1, 32, 0, 0, 64},
    {"chunks_across_tiles", 1, 200, 200, 2, 1, 64, 0, 0, 72},
    {"documents", 2, 75, 75, 4, 2, 8, 0, 0, 0, 10},
    {"chunks_documents", 2, 75, 75, 4, 2, 8, 0, 0, 9, 7},
    {"late_block", 1, 64, 160, 2, 1, 16, 96},
    {"block_across_chunks", 1, 136, 168, 2, 1, 16, 96, 64, 64},
    {"keys_behind_queries", 1, 3, 4, 2, 2, 8, 0, 9},
};

Problem largest_logits(const LogitCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("largest_logits/{}", c.name), storage);
  const Handle q = b.random("q", {c.batch, c.queries, c.heads, c.head_dim}, 2),
               k = b.random("k", {c.batch, c.keys, c.kv_heads, c.head_dim}, 2);
  std::vector<double> before(static_cast<std::size_t>(c.heads), kLowest);
  if (c.heads > 2) before[1] = 1000;  // what is there already stays
  const Handle largest = b.given("largest", DType::f32, {c.heads}, before);
  // A product of random vectors adds up terms that cancel.
  b.cancels(largest, 4 * std::sqrt(static_cast<double>(c.head_dim)));
  std::vector<std::int32_t> ids;
  const std::int64_t end = std::max(c.first_query + c.queries, c.first_key + c.keys);
  for (std::int64_t at = 0; at < c.batch * end; ++at)
    ids.push_back(static_cast<std::int32_t>((at % end + at / end) / std::max<std::int64_t>(c.document, 1)));
  const Handle documents = b.indices("documents", {c.batch, end}, ids);
  return b.build([=](Ops& ops, const Views& v) {
    LargestLogits args{v[q], v[k], v[largest], {c.first_query, c.first_key, c.chunk, {}, {}}, 0.25f};
    if (c.document > 0) {
      args.mask.query_documents = v[documents].slice(1, c.first_query, c.first_query + c.queries);
      args.mask.key_documents = v[documents].slice(1, c.first_key, c.first_key + c.keys);
    }
    ops.largest_logits(args);
  });
}

/// Elements [first, first + count) of six query heads, or of their two key heads, of `head` elements each.
Problem clip_heads(ClipHeads::Of of, std::int64_t first, std::int64_t count, std::int64_t head,
                   bool with_copy, Storage storage) {
  ProblemBuilder b(
      fmt::format("clip_heads/{}_from{}_n{}{}", of == ClipHeads::Of::queries ? "queries" : "keys", first,
                  count, with_copy ? "_copy" : ""),
      storage);
  const Handle master = b.f32_random("master", {count});
  const Handle weight =
      b.given("weight", storage.compute, {count}, std::vector<double>(static_cast<std::size_t>(count)));
  const Handle largest = b.given("largest", DType::f32, {6}, {50, 200, 400, 100, 99, kLowest}),
               proceed = b.given("proceed", DType::f32, {1}, {1});
  return b.build([=](Ops& ops, const Views& v) {
    ops.clip_heads(
        {of, v[master], with_copy ? v[weight] : TensorView(), first, head, v[largest], 2, 100, v[proceed]});
  });
}

}  // namespace

std::vector<Problem> logit_clip_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const LogitCase& c : kCases) problems.push_back(largest_logits(c, storage));
  problems.push_back(clip_heads(ClipHeads::Of::queries, 0, 6, 1, false, storage));
  problems.push_back(clip_heads(ClipHeads::Of::queries, 0, 6 * 40, 40, true, storage));
  problems.push_back(clip_heads(ClipHeads::Of::queries, 35, 100, 40, true, storage));
  problems.push_back(clip_heads(ClipHeads::Of::keys, 0, 2 * 40, 40, false, storage));
  problems.push_back(clip_heads(ClipHeads::Of::keys, 7, 60, 40, true, storage));
  return problems;
}

}  // namespace caravan::testing
