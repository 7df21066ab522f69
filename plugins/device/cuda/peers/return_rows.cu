#include <limits>
#include <type_traits>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/peers/move_rows.cuh"

// Results of experts to the ranks of their tokens, and their sums there. A warp sums a piece of a token, in
// the order of k.
namespace caravan::cuda {
namespace {

/// Rows that stay on this rank are read where they are, so fewer blocks push than sum.
constexpr int kPushing = 6;

template <class T>
struct Sums {
  Rows<T> own, landed, base, y;
  Rows<std::int32_t> row_of;
  Rows<float> weights;
  const std::int32_t *to_rank, *to_row;
  int rank, tokens, top_k, columns, own_rows;

  /// Of a sorted row; null: it went nowhere, since some rank had no room.
  __device__ const T* result(int row) const {
    const int to = to_rank[row], there = to_row[row];
    if (to != rank) return to < 0 ? nullptr : landed.at(row);
    return there < 0 || there >= own_rows ? nullptr : own.at(there);
  }
  /// The part with which a token's last result comes.
  __device__ int part_of(int token, int parts) const {
    int part = 0;
    for (int k = 0; k < top_k; ++k) {
      const int row = *row_of.at(token, k);
      if (row >= 0 && to_rank[row] >= 0 && to_rank[row] != rank) part = max(part, to_row[row] % parts);
    }
    return part;
  }
};

/// y = base + Σ_k w·result, of the columns from `begin` on that a warp sums at once: `kSums` sums of N
/// neighbours on each lane.
template <class T, int N, int kSums, bool kOne>
__device__ void sum_columns(const Sums<T>& s, int token, int begin) {
  const auto column = [&](int i) {
    return (begin + static_cast<int>(threadIdx.x) % kLanes + i * kLanes) * N;
  };
  const auto load_all = [&](Raw<T, N>(&to)[kSums], const T* from) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) to[i] = load_raw<N>(from + min(column(i), s.columns - N));
  };
  const int top_k = kOne ? 1 : s.top_k;
  Raw<T, N> before[kSums]{}, values[kSums]{};
  Floats<N> sum[kSums]{};
  if (s.base.data) load_all(before, s.base.at(token));
#pragma unroll 1
  for (int k = 0; k < top_k; ++k) {
    const int row = *s.row_of.at(token, k);
    const T* const from = row < 0 ? nullptr : s.result(row);
    const float weight = s.weights.data ? *s.weights.at(token, k) : 1.0f;
    if (from) load_all(values, from);
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      if (k == 0) sum[i] = floats_of(before[i]);
      const Floats<N> value = floats_of(values[i]);
#pragma unroll
      for (int j = 0; j < N && row >= 0; ++j)
        sum[i][j] = from ? sum[i][j] + weight * value[j] : std::numeric_limits<float>::quiet_NaN();
      if (k == top_k - 1 && column(i) < s.columns) store<N>(s.y.at(token, column(i)), sum[i]);
    }
  }
}

/// Tokens whose last result comes with `part`. Sums of several rows stay in registers, so they are fewer.
template <class T, int N, bool kOne>
__device__ void sum_part(const Sums<T>& s, const Part& part, const Crew& crew) {
  constexpr int kSums = kOne ? 6 : 3, kWords = kSums * kLanes;
  const Walk walk(s.tokens, s.columns / N, kWords, crew, part, false);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t step = std::int64_t{crew.warps} * kLanes;
  for (std::int64_t item = crew.warp; item < walk.items(); item += step) {
    const std::int64_t own = item + std::int64_t{lane} * crew.warps;
    const int token = static_cast<int>(walk.row(own)), first = walk.first_word(own);
    const bool is_now = token >= 0 && (part.count == 1 || s.part_of(token, part.count) == part.index);
    for (unsigned left = __ballot_sync(kWholeWarp, is_now); left != 0; left &= left - 1) {
      const int from = __ffs(static_cast<int>(left)) - 1, now = __shfl_sync(kWholeWarp, token, from),
                begin = __shfl_sync(kWholeWarp, first, from);
      const int end = min(begin + walk.piece, s.columns / N);
      for (int at = begin; at < end; at += kWords) sum_columns<T, N, kSums, kOne>(s, now, at);
    }
  }
}

template <class Word, class T, int N, bool kOne>
__global__ void __launch_bounds__(kThreads, 1)
    return_kernel(Push<Word> push, Sums<T> sums, Meeting meeting, int parts) {
  push_and_read(
      meeting, parts, kPushing,
      [&](const Part& part, const Crew& crew) { move_part(push, part, crew, AsItIs{}); },
      [&](const Part& part, const Crew& crew) { sum_part<T, N, kOne>(sums, part, crew); });
}

/// What sums are made of, checked.
struct Checked {
  Matrix own, landed, base, y, row_of, weights;

  Checked(const Call& call, const ReturnRows& args) {
    const DType type = call.compute_type("y", args.y);
    y = call.matrix("y", args.y, type, kAny, kAny);
    own = call.matrix("rows", args.push.rows, type, kAny, y.columns);
    landed = call.matrix("landed", args.landed, type, args.to_rank.count(), y.columns);
    base = call.optional_matrix("base", args.base, type, y.rows, y.columns);
    row_of = call.matrix("row_of", args.row_of, DType::i32, y.rows, kAny);
    weights = call.optional_matrix("weights", args.weights, DType::f32, y.rows, row_of.columns);
    if (!args.push.weights.empty()) call.fail("results times weights before they go back");
  }
  template <class T>
  Sums<T> sums(const Call& call, const ReturnRows& args) const {
    return {Rows<T>(own),
            Rows<T>(landed),
            Rows<T>(base),
            Rows<T>(y),
            Rows<std::int32_t>(row_of),
            Rows<float>(weights),
            call.indices("to_rank", args.to_rank, kAny),
            call.indices("to_row", args.to_row, args.to_rank.count()),
            static_cast<int>(args.rank),
            static_cast<int>(y.rows),
            static_cast<int>(row_of.columns),
            static_cast<int>(y.columns),
            static_cast<int>(own.rows)};
  }
};

}  // namespace

void CudaOps::return_rows(const ReturnRows& args) {
  const Call call("return_rows");
  const Checked checked(call, args);
  const std::int64_t row_bytes = checked.y.columns * static_cast<std::int64_t>(size_of(checked.y.dtype));
  const int parts = parts_of(std::max(args.push.to_rank.count(), checked.y.rows), row_bytes);
  const bool wide = common_access(args.push) == 16 &&
                    rows_of_16_bytes({checked.own, checked.landed, checked.base, checked.y});
  with_type_and_step(checked.y.dtype, wide, [&]<class T, int kStep>() {
    using Word = std::conditional_t<kStep == 1, T, uint4>;
    constexpr int N = sizeof(Word) / sizeof(T);
    const auto kernel =
        checked.row_of.columns == 1 ? return_kernel<Word, T, N, true> : return_kernel<Word, T, N, false>;
    kernel<<<kLinkBlocks, kThreads, 0, context_.stream()>>>(
        push_of<Word>(call, args.push), checked.sums<T>(call, args), meeting_of(args.push.comes_to), parts);
  });
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
