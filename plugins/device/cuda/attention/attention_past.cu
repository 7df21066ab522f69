#include "plugins/device/cuda/attention/attention_past.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kNeighbours = 8;  // cuDNN's pieces have heads of a multiple of these
using Bf16 = __nv_bfloat16;

/// A head of a query, by its number.
struct HeadOfQuery {
  int batch, query, head;
  __device__ HeadOfQuery(std::int64_t row, int queries, int heads)
      : batch(static_cast<int>(row / heads / queries)),
        query(static_cast<int>(row / heads % queries)),
        head(static_cast<int>(row % heads)) {}
  __device__ Bf16* in(const HeadRows& rows) const {
    return static_cast<Bf16*>(rows.data) + batch * rows.batch + query * rows.row + head * rows.head;
  }
  __device__ float* lse_of(const AttentionArgs& a) const {
    return a.lse + batch * a.lse_batch + head * a.lse_head + query;
  }
};

/// ln(exp a + exp b)
__device__ float sum_of_logs(float a, float b) {
  return fmaxf(a, b) + log1pf(expf(-fabsf(a - b)));
}

/// out of both, each by its share of the probability.
struct MergeOut {
  AttentionArgs to, past;
  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    const HeadOfQuery which(row, to.queries, to.heads);
    const float own = *which.lse_of(to), other = *which.lse_of(past), both = sum_of_logs(own, other);
    const float own_share = expf(own - both), other_share = expf(other - both);
    Floats<N> out = load<N>(which.in(to.out) + column);
    const Floats<N> more = load<N>(which.in(past.out) + column);
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = out[i] * own_share + more[i] * other_share;
    store(which.in(to.out) + column, out);
  }
};

struct MergeLse {
  AttentionArgs to, past;
  template <int N>
  __device__ void at(std::int64_t row, std::int64_t) const {
    const HeadOfQuery which(row, to.queries, to.heads);
    *which.lse_of(to) = sum_of_logs(*which.lse_of(to), *which.lse_of(past));
  }
};

struct AddDq {
  AttentionArgs to, past;
  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    const HeadOfQuery which(row, to.queries, to.heads);
    Floats<N> dq = load<N>(which.in(to.dq) + column);
    const Floats<N> more = load<N>(which.in(past.dq) + column);
#pragma unroll
    for (int i = 0; i < N; ++i) dq[i] += more[i];
    store(which.in(to.dq) + column, dq);
  }
};

std::int64_t heads_of_queries(const AttentionArgs& a) {
  return std::int64_t{a.batch} * a.queries * a.heads;
}

}  // namespace

std::size_t PastResults::bytes() const {
  if (!piece_.is_past) return 0;
  const auto rows = static_cast<std::size_t>(heads_of_queries(piece_));
  return rows * (static_cast<std::size_t>(piece_.width) * sizeof(Bf16) + sizeof(float));
}

HeadRows PastResults::dense() const {
  const std::int64_t row = std::int64_t{piece_.heads} * piece_.width;
  return {nullptr, piece_.queries * row, row, piece_.width};
}

AttentionArgs PastResults::forward_strides() const {
  AttentionArgs a = piece_;
  if (!a.is_past) return a;
  a.out = dense();
  a.lse_head = a.queries;
  a.lse_batch = std::int64_t{a.heads} * a.queries;
  return a;
}

AttentionArgs PastResults::backward_strides() const {
  AttentionArgs a = piece_;
  if (a.is_past) a.dq = dense();
  return a;
}

void PastResults::take_forward(AttentionArgs& a, Workspace& workspace) const {
  if (!a.is_past) return;
  const auto rows = static_cast<std::size_t>(heads_of_queries(a));
  a.out.data = workspace.take<Bf16>(rows * static_cast<std::size_t>(a.width));
  a.lse = workspace.take<float>(rows);
}

void PastResults::take_backward(AttentionArgs& a, Workspace& workspace) const {
  const auto rows = static_cast<std::size_t>(heads_of_queries(a));
  if (a.is_past) a.dq.data = workspace.take<Bf16>(rows * static_cast<std::size_t>(a.width));
}

void merge_attention(const Context& context, const AttentionArgs& to, const AttentionArgs& past) {
  const Call call("attention_forward");
  const std::int64_t rows = heads_of_queries(to);
  // In this order: the second replaces what the first reads.
  launch_rows<kNeighbours>(context, call, rows, to.width, MergeOut{to, past});
  launch_rows<1>(context, call, rows, 1, MergeLse{to, past});
}

void add_dq(const Context& context, const AttentionArgs& to, const AttentionArgs& past) {
  launch_rows<kNeighbours>(context, Call("attention_backward"), heads_of_queries(to), to.width,
                           AddDq{to, past});
}

}  // namespace caravan::cuda
