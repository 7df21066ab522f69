#include <cmath>
#include <string>
#include <utility>

#include "caravan/check.hpp"
#include "plugins/layer/attention/attention_layer.hpp"

// Calls of the attention operators.
namespace caravan::attention {
namespace {

/// [T, heads·D] rows of sequences of `length` rows, seen as [B, length, count, D] from head `first` on.
TensorView heads_of(TensorView rows, std::int64_t length, std::int64_t dim, std::int64_t first,
                    std::int64_t count) {
  TensorView view = rows.slice(1, first * dim, (first + count) * dim);
  view.shape = Shape{rows.extent(0) / length, length, count, dim};
  view.strides = {length * rows.stride(0), rows.stride(0), dim, 1};
  return view;
}

}  // namespace

TensorView AttentionLayer::queries(const Run& run, TensorView rows) const {
  return heads_of(rows, run.shape.length, heads_.dim, 0, heads_.queries);
}

QkPrepare AttentionLayer::how(const Run& run) const {
  QkPrepare how;
  if (options_.rope) {
    how.cos = cos_->data;
    how.sin = sin_->data;
  }
  how.heads = heads_.queries;
  how.kv_heads = heads_.keys;
  how.head_dim = options_.head_dim;
  how.tokens = run.token_map;
  how.norm_eps = options_.qk_norm ? options_.norm_eps : 0;
  how.temperature_scale = options_.temperature_scale;
  how.floor_scale = options_.temperature_floor;
  return how;
}

AttentionDropout AttentionLayer::attention_dropout(const Run& run) const {
  if (!run.training() || options_.attention_dropout == 0) return {};
  return {options_.attention_dropout, run.key(stream_, ".attention.probabilities"),
          run.token_map.first_sample, run.token_map.global_length, heads_.first};
}

AttentionMask AttentionLayer::mask(const Run& run, const QueryBlock& block) const {
  AttentionMask mask{block.queries.begin, block.keys.begin, options_.chunk, {}, {}};
  if (run.documents.empty()) return mask;
  mask.query_documents = run.documents.slice(1, block.queries.begin, block.queries.end);
  mask.key_documents = run.documents.slice(1, block.keys.begin, block.keys.end);
  return mask;
}

AttentionLayer::KeyRows AttentionLayer::key_rows(TensorView rows, std::int64_t length,
                                                 PositionRange which) const {
  const auto heads = [&](std::int64_t first) {
    return heads_of(rows, length, heads_.dim, first, heads_.keys).slice(1, which.begin, which.end);
  };
  return {heads(0), heads(heads_.keys)};
}

/// Of the rank's own tokens, `own` being rows as those of qkv.
AttentionLayer::KeyRows AttentionLayer::own_keys(const Run& run, TensorView own,
                                                 const QueryBlock& block) const {
  return key_rows(keys_and_values(own), run.shape.length, block.rows());
}

AttentionForward AttentionLayer::arguments(const Run& run, const Frame& frame,
                                           const QueryBlock& block) const {
  const auto [first, end] = block.rows();
  const TensorView qkv = frame[qkv_entry_];
  const KeyRows keys = context_.travel(run.shape)
                           ? key_rows(context_.whole(frame), run.shape.sequence_length(), block.keys)
                           : own_keys(run, qkv, block);
  return {queries(run, qkv).slice(1, first, end),
          keys.keys,
          keys.values,
          queries(run, frame[attended_]).slice(1, first, end),
          frame[lse_].slice(2, first, end),
          mask(run, block),
          attention_dropout(run),
          scale()};
}

void AttentionLayer::attend_to_blocks(Run& run, Frame& frame) const {
  for (const QueryBlock& block : context_.blocks(run))
    if (!block.empty()) run.ops.attention_forward(arguments(run, frame, block));
}

void AttentionLayer::differentiate(Run& run, Frame& frame, const QueryBlock& block,
                                   const KeyRows& gradient) const {
  const AttentionForward forward = arguments(run, frame, block);
  const auto [first, end] = block.rows();
  run.ops.attention_backward({forward.q, forward.k, forward.v, forward.out, forward.lse,
                              queries(run, frame[dattended_]).slice(1, first, end),
                              queries(run, frame[dqkv_]).slice(1, first, end), gradient.keys, gradient.values,
                              forward.mask, forward.dropout, forward.scale});
}

/// The later block first: it sees more keys, and least is cleared and added.
void AttentionLayer::differentiate_blocks(Run& run, Frame& frame) const {
  const auto [earlier, later] = context_.blocks(run);
  if (!context_.travel(run.shape)) {
    for (const QueryBlock& block : {earlier, later})
      if (!block.empty()) differentiate(run, frame, block, own_keys(run, frame[dqkv_], block));
    return;
  }
  using Gradient = ContextKeys::Gradient;
  for (const auto& [block, which] :
       {std::pair(later, Gradient::first), std::pair(earlier, Gradient::added)}) {
    const TensorView gradient = context_.start_gradient(run, frame, block, which);
    differentiate(run, frame, block, key_rows(gradient, run.shape.sequence_length(), block.keys));
  }
  context_.add_gradient(run, frame, earlier);
  context_.send_gradient(run, frame);
}

// Keys and values of a position are neighbours in a row of qkv and stay so in the cache. A chunked layer's
// cache starts anew with each chunk; the caller cuts pieces so that none crosses a chunk.
void AttentionLayer::attend_cached(Run& run, Frame& frame) const {
  const TensorView qkv = frame[qkv_entry_], cache = frame[cache_];
  const std::int64_t chunk = options_.chunk, length = run.shape.length;
  const std::int64_t first = run.token_map.first.begin, first_key = chunk > 0 ? first / chunk * chunk : 0;
  const std::int64_t at = first - first_key;
  CARAVAN_CHECK(at + length <= cache.extent(0), Error,
                "a piece of " + std::to_string(length) + " tokens at position " + std::to_string(first) +
                    " (leaves its chunk or the cache of " + std::to_string(cache.extent(0)) + " positions)");
  run.device.copy_rows(Lane::compute, cache.rows(at, at + length), keys_and_values(qkv));
  const KeyRows cached = key_rows(cache.rows(0, at + length), at + length, {0, at + length});
  run.ops.attention_forward({queries(run, qkv),
                             cached.keys,
                             cached.values,
                             queries(run, frame[attended_]),
                             frame[lse_],
                             AttentionMask{first, first_key, chunk, {}, {}},
                             {},
                             scale()});
}

}  // namespace caravan::attention
