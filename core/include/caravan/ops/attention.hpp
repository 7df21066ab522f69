#pragma once

#include <cstdint>
#include <string>

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"
#include "caravan/token_map.hpp"

// From projected queries, keys and values to attended values. Arguments of operators; the conventions stand
// in caravan/ops.hpp.
namespace caravan {

/// What happens to queries and keys between projection and attention. Row t has position p =
/// tokens.position(t). q and k: rotate adjacent pairs (2i, 2i+1) by angle p·ω_i when cos/sin are given; then,
/// with norm_eps > 0, multiply each head by rstd = 1/sqrt(mean(x²) + norm_eps); then, with floor_scale > 0,
/// queries only: × 1 + temperature_scale·ln(1 + ⌊(p+1)/floor_scale⌋). Source: Llama 4 reference, see docs of
/// the attention layer.
struct QkPrepare {
  TensorView cos, sin;  ///< [P, D/2] f32 at absolute positions, or empty: no rotation
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;  ///< of one of both kinds there may be none here
  TokenMap tokens;
  float norm_eps = 0;  ///< 0: no norm
  float temperature_scale = 0;
  float floor_scale = 0;  ///< 0: no temperature
};
/// Empty, or what is wrong with the heads: there must be some, queries or keys.
std::string problem_with(const QkPrepare& how);
struct QkPrepareForward {
  QkPrepare how;
  TensorView qkv;   ///< [T, (A+2G)·D] in and out; the values pass through
  TensorView rstd;  ///< [T, A+G] f32, empty when there is no norm
};
struct QkPrepareBackward {
  QkPrepare how;
  TensorView qkv;   ///< [T, (A+2G)·D] as the forward left it
  TensorView rstd;  ///< [T, A+G] as the forward left it
  TensorView dqkv;  ///< [T, (A+2G)·D] in and out
};

/// Which keys a query sees: key position ≤ query position, same chunk (⌊p/chunk⌋), same document. Documents
/// of queries and of keys are given both or neither; rows may be apart.
struct AttentionMask {
  std::int64_t first_query = 0;  ///< position of q[b, 0]
  std::int64_t first_key = 0;    ///< position of k[b, 0]
  std::int64_t chunk = 0;        ///< 0: whole sequence
  TensorView query_documents;    ///< [B, S] i32, or empty: one document
  TensorView key_documents;      ///< [B, Skv] i32, or empty
};

/// Empty, or what is missing: documents of queries or of keys.
std::string problem_with(const AttentionMask& mask);

/// What queries of a range of positions see of keys of a range, and the queries that see any of it; both
/// empty where nothing. The keys are the last ones of theirs.
struct Crossing {
  PositionRange queries, keys;
  bool empty() const { return keys.size() <= 0; }
};
/// The two ranges are the same or have no token in common. `chunk`: of the mask, 0: whole sequences.
Crossing crossing(PositionRange queries, PositionRange keys, std::int64_t chunk);

/// Dropout of probabilities; element (first_sample + b, ((first_head + head)·L + query)·L + key) of the
/// stream, query and key by their positions in sequences of L tokens.
struct AttentionDropout {
  float probability = 0;
  RandomKey key;
  std::int64_t first_sample = 0;   ///< global index of the first sequence
  std::int64_t global_length = 0;  ///< L
  std::int64_t first_head = 0;     ///< of all query heads, the first of q
};
/// Empty, or why the probability or L does not serve these queries and keys.
std::string problem_with(const AttentionDropout& dropout, const AttentionMask& mask, std::int64_t queries,
                         std::int64_t keys);

/// out = softmax(scale·q·kᵀ + mask)·v; query head h reads key/value head ⌊h·G/A⌋. Keys may come in several
/// calls: with `adds`, out and lse are those of other keys before and of both behind, merged by lse. A query
/// that sees no key of a call has out 0 and lse −∞ there, and adds nothing.
struct AttentionForward {
  TensorView q;    ///< [B, S, A, D]
  TensorView k;    ///< [B, Skv, G, D]
  TensorView v;    ///< [B, Skv, G, D]
  TensorView out;  ///< [B, S, A, D]
  TensorView lse;  ///< [B, A, S] f32 ln Σ exp of the scaled scores
  AttentionMask mask;
  AttentionDropout dropout;
  float scale = 1;
  bool adds = false;
};
/// Of the keys of one call; out and lse are those of all. With `adds`, dq is added to.
struct AttentionBackward {
  TensorView q, k, v, out, lse;  ///< as in the forward
  TensorView dout;               ///< [B, S, A, D]
  TensorView dq, dk, dv;         ///< as q, k, v; written
  AttentionMask mask;
  AttentionDropout dropout;
  float scale = 1;
  bool adds = false;
};

}  // namespace caravan
