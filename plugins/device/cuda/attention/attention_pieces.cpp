#include <algorithm>
#include <initializer_list>

#include "plugins/device/cuda/attention/attention_cudnn.hpp"

namespace caravan::cuda {
namespace {

/// Absent ones have null data and no strides, which is aligned as well.
bool on_16_bytes(const HeadRows& rows) {
  return reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0 && rows.batch % 8 == 0 && rows.row % 8 == 0 &&
         rows.head % 8 == 0;
}

bool is_within_one_chunk(const AttentionArgs& a) {
  return a.chunk == 0 || a.first_query % a.chunk + a.queries <= a.chunk;
}

bool is_whole_chunks(const AttentionArgs& a) {
  return a.first_query % a.chunk == 0 && a.queries % a.chunk == 0 && a.chunk > 1;
}

bool are_on_16_bytes(const AttentionArgs& a) {
  const auto all = {a.q, a.k, a.v, a.out, a.dout, a.dq, a.dk, a.dv};
  return std::all_of(all.begin(), all.end(), on_16_bytes);
}

void move(HeadRows& rows, std::int64_t elements) {
  if (rows.data) rows.data = static_cast<char*>(rows.data) + elements * 2;
}

/// Sequence `b`, whose chunks become the batch.
AttentionArgs chunks_of_sequence(AttentionArgs a, int b) {
  const int chunk = static_cast<int>(a.chunk);
  for (HeadRows* rows : {&a.q, &a.k, &a.v, &a.out, &a.dout, &a.dq, &a.dk, &a.dv}) {
    move(*rows, b * rows->batch);
    rows->batch = chunk * rows->row;
  }
  a.lse += b * a.lse_batch;
  a.lse_batch = chunk;
  a.batch = a.queries / chunk;
  a.queries = a.keys = chunk;
  a.chunk = 0;
  return a;
}

/// Chunk `c` of every sequence.
AttentionArgs chunk_of_sequences(AttentionArgs a, int c) {
  const int chunk = static_cast<int>(a.chunk);
  for (HeadRows* rows : {&a.q, &a.k, &a.v, &a.out, &a.dout, &a.dq, &a.dk, &a.dv}) {
    move(*rows, std::int64_t{c} * chunk * rows->row);
  }
  a.lse += std::int64_t{c} * chunk;
  a.queries = a.keys = chunk;
  a.chunk = 0;
  return a;
}

}  // namespace

std::string_view why_not_cudnn(const AttentionArgs& a) {
  if (a.dtype != DType::bf16) return "fp32";
  if (a.width % 8 != 0) return "heads not a multiple of 8 wide";
  if (a.query_documents.data) return "documents";
  if (a.dropout != 0) return "dropout of probabilities";
  if (a.queries != a.keys || a.first_query != a.first_key || a.queries == 1) return "a cache of keys";
  if (!are_on_16_bytes(a)) return "rows off 16 bytes";
  if (!is_within_one_chunk(a) && !is_whole_chunks(a)) return "chunks that do not divide the sequence";
  return {};
}

// lse is [B, A, S], so one stride steps over the chunks of one sequence or over the sequences, not over both.
std::vector<AttentionArgs> causal_pieces(const AttentionArgs& args) {
  if (!why_not_cudnn(args).empty()) return {};
  if (is_within_one_chunk(args)) return {args};
  std::vector<AttentionArgs> pieces;
  const int chunks = static_cast<int>(args.queries / args.chunk);
  for (int b = 0; args.batch <= chunks && b < args.batch; ++b) pieces.push_back(chunks_of_sequence(args, b));
  for (int c = 0; args.batch > chunks && c < chunks; ++c) pieces.push_back(chunk_of_sequences(args, c));
  return pieces;
}

}  // namespace caravan::cuda
