#include <cmath>
#include <string>
#include <utility>

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

AttentionMask AttentionLayer::mask(const Run& run, const Crossing& which) const {
  AttentionMask mask{which.queries.begin, which.keys.begin, options_.chunk, {}, {}};
  if (run.documents.empty()) return mask;
  mask.query_documents = run.documents.slice(1, which.queries.begin, which.queries.end);
  mask.key_documents = run.documents.slice(1, which.keys.begin, which.keys.end);
  return mask;
}

AttentionLayer::KeyRows AttentionLayer::key_rows(TensorView rows, std::int64_t length,
                                                 PositionRange which) const {
  const auto heads = [&](std::int64_t first) {
    return heads_of(rows, length, heads_.dim, first, heads_.keys).slice(1, which.begin, which.end);
  };
  return {heads(0), heads(heads_.keys)};
}

AttentionForward AttentionLayer::arguments(const Run& run, const Frame& frame, const Block& block,
                                           const KeyBlock& from, const Crossing& which) const {
  const auto [first, end] = block.rows(which.queries);
  const KeyRows keys = key_rows(from.rows, from.length, from.block.rows(which.keys));
  return {queries(run, frame[qkv_entry_]).slice(1, first, end),
          keys.keys,
          keys.values,
          queries(run, frame[attended_]).slice(1, first, end),
          frame[lse_].slice(2, first, end),
          mask(run, which),
          attention_dropout(run),
          scale(),
          false};
}

void AttentionLayer::attend_to(Run& run, Frame& frame, const Block& block, const KeyBlock& keys,
                               bool adds) const {
  const Crossing which = crossing(block.positions, keys.block.positions, options_.chunk);
  if (which.empty()) return;
  AttentionForward forward = arguments(run, frame, block, keys, which);
  forward.adds = adds;
  run.ops.attention_forward(forward);
  if (run.counts() && !qkv_.largest_logits.empty())
    run.ops.largest_logits({forward.q, forward.k, qkv_.largest_logits, forward.mask, forward.scale});
}

/// A block's own keys first: each of its queries sees one of them, so that out and lse are written.
void AttentionLayer::attend_to_own(Run& run, Frame& frame) const {
  const auto [earlier, later] = context_.queries(run);
  for (const Block& block : {earlier, later})
    attend_to(run, frame, block, context_.own(run, frame, block), false);
  attend_to(run, frame, later, context_.own(run, frame, earlier), true);
}

void AttentionLayer::attend_to_round(Run& run, Frame& frame, int round) const {
  context_.for_each_of(run, frame, round, ContextKeys::When::forward,
                       [&](const KeyBlock& keys, const ContextKeys::Blocks& blocks) {
                         for (const Block& block : blocks) attend_to(run, frame, block, keys, true);
                       });
}

bool AttentionLayer::differentiate(Run& run, Frame& frame, const Block& block, const KeyBlock& keys,
                                   Sums sums) const {
  const Crossing which = crossing(block.positions, keys.block.positions, options_.chunk);
  if (which.empty()) return false;
  const AttentionForward forward = arguments(run, frame, block, keys, which);
  const auto [first, end] = block.rows(which.queries);
  const TensorView sum = sums.keys ? context_.start_sum(frame, run, which.keys) : TensorView();
  const KeyRows gradient = sums.keys ? key_rows(sum, which.keys.size(), {0, which.keys.size()})
                                     : key_rows(keys.gradients, keys.length, keys.block.rows(which.keys));
  run.ops.attention_backward({forward.q, forward.k, forward.v, forward.out, forward.lse,
                              queries(run, frame[dattended_]).slice(1, first, end),
                              queries(run, frame[dqkv_]).slice(1, first, end), gradient.keys, gradient.values,
                              forward.mask, forward.dropout, forward.scale, sums.queries});
  if (sums.keys) context_.add_to(run, keys, which.keys, sum);
  return true;
}

void AttentionLayer::differentiate_own(Run& run, Frame& frame) const {
  for (const Block& block : context_.halves(run))
    differentiate(run, frame, block, context_.own(run, frame, block), {});
}

void AttentionLayer::differentiate_between(Run& run, Frame& frame) const {
  const auto [earlier, later] = context_.halves(run);
  differentiate(run, frame, later, context_.own(run, frame, earlier), {true, true});
}

/// Of a rank's two blocks of queries the first that sees keys of a block sees all that came, and writes their
/// gradients.
void AttentionLayer::differentiate_round(Run& run, Frame& frame, int round) const {
  context_.for_each_of(run, frame, round, ContextKeys::When::backward,
                       [&](const KeyBlock& keys, const ContextKeys::Blocks& blocks) {
                         bool is_written = false;
                         for (const Block& block : blocks)
                           if (differentiate(run, frame, block, keys, {true, is_written})) is_written = true;
                       });
}

CacheRows AttentionLayer::cache_rows(const Run& run) const {
  const DecodeRows& rows = run.rows;
  return {rows.slots, rows.positions, options_.chunk > 0 ? rows.chunk_pages : rows.pages, options_.chunk};
}

void AttentionLayer::prepare_cached(Run& run, Frame& frame) const {
  run.ops.qk_prepare_cached({how(run), frame[qkv_entry_], cache_rows(run), {frame[keys_], frame[values_]}});
}

void AttentionLayer::attend_cached(Run& run, Frame& frame) const {
  const auto of_tokens = [](TensorView heads) {  // [T, 1, A, D] as [T, A, D]
    TensorView view = heads;
    view.shape = Shape{heads.extent(0), heads.extent(2), heads.extent(3)};
    view.strides = {heads.stride(0), heads.stride(2), 1};
    return view;
  };
  run.ops.paged_attention({of_tokens(queries(run, frame[qkv_entry_])),
                           {frame[keys_], frame[values_]},
                           of_tokens(queries(run, frame[attended_])),
                           cache_rows(run),
                           options_.chunk,
                           scale()});
}

}  // namespace caravan::attention
