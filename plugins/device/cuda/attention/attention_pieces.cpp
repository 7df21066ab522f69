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

/// Queries of every sequence up to the first chunk that begins among them, then those of `chunks` whole
/// chunks, then the rest.
struct Cut {
  int head = 0, chunks = 0, tail = 0;
  explicit Cut(const AttentionArgs& a) {
    const std::int64_t into = a.chunk == 0 ? 0 : a.first_query % a.chunk;
    const bool one = a.chunk == 0 || into + a.queries <= a.chunk;
    head = one ? a.queries : into == 0 ? 0 : static_cast<int>(a.chunk - into);
    if (one) return;
    chunks = static_cast<int>((a.queries - head) / a.chunk);
    tail = static_cast<int>((a.queries - head) % a.chunk);
  }
  /// cuDNN's engines want two queries.
  bool leaves_one_query(const AttentionArgs& a) const {
    return head == 1 || tail == 1 || (chunks > 0 && a.chunk == 1);
  }
};

/// Whether the first key is of the first query's chunk and the last one at the last query.
bool ends_with_its_keys(const AttentionArgs& a) {
  return a.first_key + a.keys == a.first_query + a.queries && a.first_key <= a.first_query &&
         (a.chunk == 0 || a.first_key / a.chunk == a.first_query / a.chunk);
}

bool are_on_16_bytes(const AttentionArgs& a) {
  const auto all = {a.q, a.k, a.v, a.out, a.dout, a.dq, a.dk, a.dv};
  return std::all_of(all.begin(), all.end(), on_16_bytes);
}

void move(HeadRows& rows, std::int64_t elements) {
  if (rows.data) rows.data = static_cast<char*>(rows.data) + elements * 2;
}

/// Queries [begin, end) of every sequence, with the keys of their first chunk before them.
AttentionArgs queries_of(AttentionArgs a, int begin, int end) {
  const std::int64_t query = a.first_query + begin,
                     key = a.chunk == 0 ? a.first_key : std::max(a.first_key, query / a.chunk * a.chunk);
  for (HeadRows* rows : {&a.q, &a.out, &a.dout, &a.dq}) move(*rows, begin * rows->row);
  for (HeadRows* rows : {&a.k, &a.v, &a.dk, &a.dv}) move(*rows, (key - a.first_key) * rows->row);
  a.lse += begin;
  a.queries = end - begin;
  a.keys = static_cast<int>(a.first_query + end - key);
  a.first_query = query, a.first_key = key;
  return a;
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

/// lse is [B, A, S], so one stride steps over the chunks of one sequence or over the sequences, not over
/// both.
void add_whole_chunks(std::vector<AttentionArgs>& pieces, const AttentionArgs& a) {
  const int chunks = static_cast<int>(a.queries / a.chunk);
  for (int b = 0; a.batch <= chunks && b < a.batch; ++b) pieces.push_back(chunks_of_sequence(a, b));
  for (int c = 0; a.batch > chunks && c < chunks; ++c) pieces.push_back(chunk_of_sequences(a, c));
}

/// Queries with more keys than they are. cuDNN's engines are slow at such a mask, how slow depends on its
/// shape, and ranks that divide a sequence wait for the slowest: the keys before the first query, which all
/// queries see, are attended to without a mask, behind the square of the others.
void add_queries(std::vector<AttentionArgs>& pieces, const AttentionArgs& a) {
  constexpr int kLeast = 128;  // smaller pieces cost more than they save
  const int past = a.keys - a.queries;
  if (past < kLeast || a.queries < kLeast) return pieces.push_back(a);
  AttentionArgs square = a, before = a;
  for (HeadRows* rows : {&square.k, &square.v, &square.dk, &square.dv}) move(*rows, past * rows->row);
  square.first_key += past;
  square.keys = a.queries;
  before.keys = past;
  before.is_past = true;
  pieces.insert(pieces.end(), {square, before});
}

std::vector<AttentionArgs> pieces_of(const AttentionArgs& args) {
  if (args.adds) {
    AttentionArgs piece = args;
    piece.is_past = true;
    return {piece};
  }
  const Cut cut(args);
  std::vector<AttentionArgs> pieces;
  if (cut.head > 0) add_queries(pieces, queries_of(args, 0, cut.head));
  const int last = args.queries - cut.tail;
  if (cut.chunks > 0) add_whole_chunks(pieces, queries_of(args, cut.head, last));
  if (cut.tail > 0) add_queries(pieces, queries_of(args, last, args.queries));
  return pieces;
}

bool begins_on_16_bytes(const AttentionArgs& piece) {
  return reinterpret_cast<std::uintptr_t>(piece.lse) % 16 == 0;
}

/// Whether every query sees every key.
bool sees_all_keys(const AttentionArgs& a) {
  const bool are_before = a.first_key + a.keys <= a.first_query;
  return are_before && (a.chunk == 0 || a.first_key / a.chunk == (a.first_query + a.queries - 1) / a.chunk);
}

std::string_view why_not_these_keys(const AttentionArgs& a) {
  if (a.adds) return sees_all_keys(a) ? "" : "further keys that are hidden from some queries";
  return ends_with_its_keys(a) ? "" : "keys that do not end at the last query, or begin before its chunk";
}

/// Whatever its pieces are.
std::string_view why_not_as_a_whole(const AttentionArgs& a) {
  constexpr int kFewQueries = 64;  // of a cache: a plan for each length would cost more
  if (a.dtype != DType::bf16) return "fp32";
  if (a.width % 8 != 0) return "heads not a multiple of 8 wide";
  if (a.query_documents.data) return "documents";
  if (a.dropout != 0) return "dropout of probabilities";
  if (const std::string_view why = why_not_these_keys(a); !why.empty()) return why;
  if (a.queries == 1 || (a.queries < a.keys && a.queries < kFewQueries))
    return "few queries of a cache of keys";
  if (a.adds && std::min(a.queries, a.keys) < kFewQueries) return "few queries or keys";
  if (!are_on_16_bytes(a)) return "rows off 16 bytes";
  if (!a.adds && Cut(a).leaves_one_query(a)) return "chunks of a single query";
  return {};
}

}  // namespace

std::string_view why_not_cudnn(const AttentionArgs& a) {
  if (const std::string_view why = why_not_as_a_whole(a); !why.empty()) return why;
  return causal_pieces(a).empty() ? "blocks off 4 queries" : "";
}

std::vector<AttentionArgs> causal_pieces(const AttentionArgs& args) {
  if (!why_not_as_a_whole(args).empty()) return {};
  std::vector<AttentionArgs> pieces = pieces_of(args);
  if (!std::all_of(pieces.begin(), pieces.end(), begins_on_16_bytes)) pieces.clear();
  return pieces;
}

}  // namespace caravan::cuda
