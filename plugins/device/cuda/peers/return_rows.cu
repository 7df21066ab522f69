#include <limits>
#include <type_traits>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/peers/move_rows.cuh"
#include "plugins/device/cuda/peers/parts.cuh"

// Results of experts to the ranks of their tokens, and their sums there. A warp sums a piece of a token, in
// the order of k.
namespace caravan::cuda {
namespace {

/// Tokens all of whose results are on this rank, or the others.
enum class Tokens { all, at_home, others };

template <class T>
struct Sums {
  Rows<T> own, landed, base, y;
  Rows<std::int32_t> row_of;
  Rows<float> weights;
  const std::int32_t *to_rank, *to_row;
  int rank, tokens, top_k, columns, own_rows;
  Order order;                    ///< of the rows that land
  const std::int32_t* choice_of;  ///< of each sorted row, or null

  /// Of a sorted row; null: it went nowhere, since some rank had no room.
  __device__ const T* result(int row) const {
    const int to = to_rank[row], there = to_row[row];
    if (to != rank) return to < 0 ? nullptr : landed.at(row);
    return there < 0 || there >= own_rows ? nullptr : own.at(there);
  }
  __device__ bool is_among(int token, Tokens which) const {
    if (which == Tokens::all) return true;
    bool is_at_home = true;
    for (int k = 0; k < top_k; ++k) {
      const int row = *row_of.at(token, k);
      is_at_home = is_at_home && (row < 0 || to_rank[row] < 0 || to_rank[row] == rank);
    }
    return is_at_home == (which == Tokens::at_home);
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

/// Sums of several rows stay in registers, so a warp makes fewer at once.
constexpr int sums_at_once(bool is_one) {
  return is_one ? 6 : 3;
}

template <class T, int N, bool kOne>
__device__ void sum_tokens(const Sums<T>& s, Tokens which, const Crew& crew) {
  constexpr int kSums = sums_at_once(kOne), kWords = kSums * kLanes;
  const Walk walk(s.tokens, s.columns / N, kWords, crew);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t step = std::int64_t{crew.warps} * kLanes;
  for (std::int64_t item = crew.warp; item < walk.items(); item += step) {
    const std::int64_t own = item + std::int64_t{lane} * crew.warps;
    const int token = static_cast<int>(walk.row(own)), first = walk.first_word(own);
    const bool is_now = token >= 0 && s.is_among(token, which);
    for (unsigned left = __ballot_sync(kWholeWarp, is_now); left != 0; left &= left - 1) {
      const int from = __ffs(static_cast<int>(left)) - 1, now = __shfl_sync(kWholeWarp, token, from),
                begin = __shfl_sync(kWholeWarp, first, from);
      const int end = min(begin + walk.piece, s.columns / N);
      for (int at = begin; at < end; at += kWords) sum_columns<T, N, kSums, kOne>(s, now, at);
    }
  }
}

/// Tokens of one choice each, in the order in which their results arrive.
template <class T, int N, class Reach>
__device__ void sum_parts(const Sums<T>& s, const Crew& crew, const Reach& reach) {
  constexpr int kSums = sums_at_once(true), kWords = kSums * kLanes;
  walk_parts(
      s.order, s.columns / N, kWords, crew,
      [&](int row, int first_word) {
        const int token = row < 0 ? -1 : s.choice_of[row];
        return Piece{token < s.tokens ? token : -1, first_word};
      },
      [&](const Piece& piece) {
        if (piece.from >= 0) sum_columns<T, N, kSums, true>(s, piece.from, piece.first);
      },
      reach);
}

template <class Word, class T, int N, bool kOne>
__global__ void __launch_bounds__(kThreads, 1) return_kernel(Push<Word> push, Sums<T> sums, Meeting meeting) {
  push_and_read(
      meeting, [&](const Crew& crew) { move_rows(push, Which::that_leave, crew, AsItIs{}); },
      [](const Crew&) {}, [&](const Crew& crew) { sum_tokens<T, N, kOne>(sums, Tokens::all, crew); });
}

template <class Word, class T, int N, bool kOne>
__global__ void __launch_bounds__(kThreads, 1)
    return_beside_kernel(Push<Word> push, Sums<T> sums, Meeting meeting) {
  push_beside(
      meeting, [&](const Crew& crew) { move_rows(push, Which::that_leave, crew, AsItIs{}); },
      [&](const Crew& crew) { sum_tokens<T, N, kOne>(sums, Tokens::at_home, crew); });
}

template <class Word, class T, int N>
__global__ void __launch_bounds__(kThreads, 1)
    return_parts_kernel(Push<Word> push, Sums<T> sums, Meeting meeting) {
  exchange_parts(
      meeting, [&](const Crew& crew, const auto& reach) { move_parts(push, crew, AsItIs{}, reach); },
      [&](const Crew& crew) { sum_tokens<T, N, true>(sums, Tokens::at_home, crew); },
      [&](const Crew& crew, const auto& reach) { sum_parts<T, N>(sums, crew, reach); });
}

template <class T, int N, bool kOne>
__global__ void __launch_bounds__(kThreads, 1) sum_others_kernel(Sums<T> sums) {
  const Crew all(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
  sum_tokens<T, N, kOne>(sums, Tokens::others, all);
}

/// Little in one kernel; else results of this rank are summed while others travel, and those part by part
/// where no token waits for several, or by every multiprocessor.
template <class Word, class T, int N, bool kOne>
void launch(const Context& context, const Push<Word>& push, const Sums<T>& sums, const Meeting& meeting,
            bool little) {
  if (little) {
    return_kernel<Word, T, N, kOne><<<kLinkBlocks, kThreads, 0, context.stream()>>>(push, sums, meeting);
  } else if (kOne && push.order.ends != nullptr && sums.order.ends != nullptr && sums.choice_of != nullptr) {
    return_parts_kernel<Word, T, N>
        <<<all_blocks(context), kThreads, 0, context.stream()>>>(push, sums, meeting);
  } else {
    return_beside_kernel<Word, T, N, kOne>
        <<<all_blocks(context), kThreads, 0, context.stream()>>>(push, sums, meeting);
    CARAVAN_CUDA_LAUNCHED();
    sum_others_kernel<T, N, kOne><<<all_blocks(context), kThreads, 0, context.stream()>>>(sums);
  }
  CARAVAN_CUDA_LAUNCHED();
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
    return {
        Rows<T>(own),
        Rows<T>(landed),
        Rows<T>(base),
        Rows<T>(y),
        Rows<std::int32_t>(row_of),
        Rows<float>(weights),
        call.indices("to_rank", args.to_rank, kAny),
        call.indices("to_row", args.to_row, args.to_rank.count()),
        static_cast<int>(args.push.rank),
        static_cast<int>(y.rows),
        static_cast<int>(row_of.columns),
        static_cast<int>(y.columns),
        static_cast<int>(own.rows),
        order_of(call, args.parts),
        args.choice_of.empty() ? nullptr : call.indices("choice_of", args.choice_of, args.to_rank.count())};
  }
};

}  // namespace

void CudaOps::return_rows(const ReturnRows& args) {
  const Call call("return_rows");
  const Checked checked(call, args);
  const std::int64_t row_bytes = checked.y.columns * static_cast<std::int64_t>(size_of(checked.y.dtype));
  const bool little = is_little(std::max(args.push.to_rank.count(), checked.y.rows), row_bytes);
  const bool wide = common_access(args.push) == 16 &&
                    rows_of_16_bytes({checked.own, checked.landed, checked.base, checked.y});
  const bool is_one = checked.row_of.columns == 1;
  with_type_and_step(checked.y.dtype, wide, [&]<class T, int kStep>() {
    using Word = std::conditional_t<kStep == 1, T, uint4>;
    constexpr int N = sizeof(Word) / sizeof(T);
    (is_one ? launch<Word, T, N, true> : launch<Word, T, N, false>)(context_, push_of<Word>(call, args.push),
                                                                    checked.sums<T>(call, args),
                                                                    meeting_of(args.push.comes_to), little);
  });
}

}  // namespace caravan::cuda
