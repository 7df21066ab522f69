#include "gemm_few_rows.hpp"

#include <algorithm>
#include <cstring>

#include "transpose.hpp"

namespace caravan::host {
namespace {

/// The deepest slice: a panel of it is half of the first cache.
constexpr std::int64_t kDeepest = 384;

/// The first `count` of a vector, zeros behind; nothing else is read.
Vec load_part(const float* from, std::int64_t count) {
  alignas(64) float padded[kLanes] = {};
  std::memcpy(padded, from, static_cast<std::size_t>(count) * sizeof(float));
  return load(padded);
}

/// Lines up to this long are over before the processor has learnt to read them ahead.
constexpr std::int64_t kShortLine = 512;

/// kLanes lines of b, of which `count` exist, of `depth` elements each.
struct LineBlock {
  const float* data;
  std::int64_t stride, count, depth;
  const float* next;  ///< the block behind, without gaps, to be asked for meanwhile; or null

  /// Elements [k, k + kLanes) of each line, those beyond the depth 0, as one vector of all lines for each k.
  CARAVAN_INLINE void read(std::int64_t k, Vec (&square)[kLanes]) const {
    const std::int64_t left = depth - k;
    if (next) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) __builtin_prefetch(next + (k + i) * kLanes, 0, 2);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      const float* line = data + i * stride + k;
      if (i >= count) {
        square[i] = Vec{};
      } else if (left < kLanes) {
        square[i] = load_part(line, left);
      } else {
        square[i] = load(line);
      }
    }
    transpose(square);
  }
};

/// Sums of one slice of the depth for one or two rows, which registers hold beside a square.
template <int Rows>
CARAVAN_INLINE void sum_squares(const LineBlock& b, const Operand& a, std::int64_t begin, std::int64_t end,
                                Vec (&sums)[Rows]) {
  const auto step = [&](std::int64_t k, Vec right) {
#pragma GCC unroll 2
    for (int m = 0; m < Rows; ++m) sums[m] += broadcast(a.data[m * a.stride + k]) * right;
  };
  for (std::int64_t k = begin; k < end; k += kLanes) {
    Vec square[kLanes];
    b.read(k, square);
    if (k + kLanes <= end) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) step(k + i, square[i]);
      continue;
    }
    for (int i = 0; i < end - k; ++i) step(k + i, square[i]);
  }
}

/// The same for more, through a panel of what has been transposed.
template <int Rows>
CARAVAN_INLINE void sum_panel(const LineBlock& b, const Operand& a, std::int64_t begin, std::int64_t end,
                              Vec (&sums)[Rows]) {
  alignas(64) float panel[(kDeepest + kLanes) * kLanes];
  for (std::int64_t k = begin; k < end; k += kLanes) {
    Vec square[kLanes];
    b.read(k, square);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) store(panel + (k - begin + i) * kLanes, square[i]);
  }
  for (std::int64_t k = begin; k < end; ++k) {
    const Vec right = load(panel + (k - begin) * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m) sums[m] += broadcast(a.data[m * a.stride + k]) * right;
  }
}

void put(const Vec& sums, float* to, std::int64_t count, Result result) {
  alignas(64) float values[kLanes];
  store(values, sums);
  for (std::int64_t n = 0; n < count; ++n)
    to[n] = result == Result::accumulate ? values[n] + to[n] : values[n];
}

/// Rows of the result at the block's columns.
template <int Rows>
void rows_of_block(const LineBlock& b, std::int64_t part, const Operand& a, const Output& to) {
  for (std::int64_t begin = 0; begin < b.depth; begin += part) {
    Vec sums[Rows] = {};
    const std::int64_t end = std::min(begin + part, b.depth);
    if constexpr (Rows <= 2) {
      sum_squares<Rows>(b, a, begin, end, sums);
    } else {
      sum_panel<Rows>(b, a, begin, end, sums);
    }
    for (int m = 0; m < Rows; ++m)
      put(sums[m], to.data + m * to.stride, b.count, begin > 0 ? Result::accumulate : to.result);
  }
}

template <int Rows>
void all_columns(const Product& size, std::int64_t part, const Operand& a, const Operand& b,
                 const Output& to) {
  const bool asks = size.depth <= kShortLine && b.stride == size.depth;
  for (std::int64_t n = 0; n < size.columns; n += kLanes) {
    const float* data = b.data + n * b.stride;
    const bool has_next = n + 2 * kLanes <= size.columns;
    const LineBlock block{data, b.stride, std::min<std::int64_t>(kLanes, size.columns - n), size.depth,
                          asks && has_next ? data + kLanes * b.stride : nullptr};
    rows_of_block<Rows>(block, part, a, {to.data + n, to.stride, to.result});
  }
}

}  // namespace

void multiply_few_rows(const Product& size, std::int64_t part, const Operand& a, const Operand& b,
                       const Output& to) {
  static_assert(kFewRows == 8);
  switch (size.rows) {
    case 1:
      return all_columns<1>(size, part, a, b, to);
    case 2:
      return all_columns<2>(size, part, a, b, to);
    case 3:
      return all_columns<3>(size, part, a, b, to);
    case 4:
      return all_columns<4>(size, part, a, b, to);
    case 5:
      return all_columns<5>(size, part, a, b, to);
    case 6:
      return all_columns<6>(size, part, a, b, to);
    case 7:
      return all_columns<7>(size, part, a, b, to);
    case 8:
      return all_columns<8>(size, part, a, b, to);
    default:  // none
      return;
  }
}

}  // namespace caravan::host
