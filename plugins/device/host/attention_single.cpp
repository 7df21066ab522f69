#include "attention_single.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace caravan::host {
namespace {

using Stride = Eigen::OuterStride<>;
/// [keys, width] with rows where they lie in the cache.
using KeyMatrix = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
                             Eigen::Unaligned, Stride>;
using Column = Eigen::Map<Eigen::VectorXf>;
using ConstColumn = Eigen::Map<const Eigen::VectorXf>;

struct Query {
  std::int64_t sequence, head, index;
};

/// The first and one past the last key that the query sees; documents apart.
std::pair<std::int64_t, std::int64_t> key_range(const AttentionCall& call, std::int64_t index) {
  const std::int64_t position = call.mask.first_query + index;
  const std::int64_t chunk_start = call.mask.chunk > 0 ? position / call.mask.chunk * call.mask.chunk : 0;
  const std::int64_t begin = std::clamp<std::int64_t>(chunk_start - call.mask.first_key, 0, call.keys);
  const std::int64_t end = std::clamp<std::int64_t>(position + 1 - call.mask.first_key, 0, call.keys);
  return {begin, std::max(begin, end)};
}

void hide_other_documents(const AttentionCall& call, const Query& query, std::int64_t begin, Column& scores) {
  const std::int32_t* documents = call.key_documents.row(query.sequence);
  const std::int32_t document = call.query_documents.row(query.sequence)[query.index];
  for (std::int64_t j = 0; j < scores.size(); ++j) {
    if (documents[begin + j] != document) scores[j] = -std::numeric_limits<float>::infinity();
  }
}

void attend(const AttentionCall& call, const Query& query, float* buffer, const HeadRows& out) {
  const auto [b, head, i] = query;
  const std::int64_t group = head / call.heads_per_kv();
  const auto [begin, end] = key_range(call, i);
  Column to(out.row(b, i, head), call.width);
  float& lse = call.lse_row(b, head)[i];
  if (begin == end) {
    to.setZero();
    lse = -std::numeric_limits<float>::infinity();
    return;
  }
  const KeyMatrix k(call.k.row(b, begin, group), end - begin, call.width, Stride(call.k.row_stride));
  const KeyMatrix v(call.v.row(b, begin, group), end - begin, call.width, Stride(call.v.row_stride));
  Column scores(buffer, end - begin);
  scores.noalias() = k * (call.scale * ConstColumn(call.q.row(b, i, head), call.width));
  if (call.key_documents) hide_other_documents(call, query, begin, scores);
  const float maximum = scores.maxCoeff();
  scores = (scores.array() - maximum).exp();
  const float sum = scores.sum();
  to.noalias() = v.transpose() * scores;
  to /= sum;
  lse = maximum + std::log(sum);
}

}  // namespace

void attention_single(const AttentionCall& call, const HeadRows& out, const Team& team,
                      std::vector<Workspace>& workspaces) {
  const std::int64_t per_sequence = call.heads * call.queries;
  team.for_each(call.batch * per_sequence, call.keys * call.width,
                [&](std::int64_t item, std::int64_t worker) {
                  Workspace& scratch = workspaces[static_cast<std::size_t>(worker)];
                  scratch.begin(static_cast<std::size_t>(call.keys), 1);
                  const std::int64_t rest = item % per_sequence;
                  attend(call, {item / per_sequence, rest / call.queries, rest % call.queries},
                         scratch.take(static_cast<std::size_t>(call.keys)), out);
                });
}

}  // namespace caravan::host
