#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "transpose.hpp"

namespace caravan::host {

/// A factor of a product as lines that run along its depth: the rows of a, the columns of b.
struct Lines {
  enum class Adjacent { depth, line };  ///< what the next element in memory differs in

  const float* data;
  std::int64_t stride;
  Adjacent adjacent;

  const float* at(std::int64_t line, std::int64_t k) const {
    return adjacent == Adjacent::depth ? data + line * stride + k : data + k * stride + line;
  }
  Lines from(std::int64_t line, std::int64_t k) const { return {at(line, k), stride, adjacent}; }
};

/// kWidth lines, of which `count` exist, by transposing squares in registers. A vector that hangs over is
/// overwritten by the next one.
template <int kWidth>
void pack_panel_by_line(const Lines& from, std::int64_t count, std::int64_t depth, float* to) {
  constexpr int kGroups = (kWidth + kLanes - 1) / kLanes;
  std::int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
#pragma GCC unroll 4
    for (int group = kGroups - 1; group >= 0; --group) {
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        const int line = group * kLanes + i;
        square[i] = line < kWidth && line < count ? load(from.data + line * from.stride + k) : Vec{};
      }
      transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(to + (k + i) * kWidth + group * kLanes, square[i]);
    }
  }
  for (; k < depth; ++k) {
    for (int line = 0; line < kWidth; ++line) {
      to[k * kWidth + line] = line < count ? from.data[line * from.stride + k] : 0.0f;
    }
  }
}

/// In the order of memory: all panels a step of the depth at a time.
template <int kWidth>
void pack_by_depth(const Lines& from, std::int64_t lines, std::int64_t depth, float* to) {
  const std::int64_t whole = lines / kWidth, left = lines % kWidth, next = depth * kWidth;
  for (std::int64_t k = 0; k < depth; ++k, to += kWidth) {
    const float* row = from.data + k * from.stride;
    for (std::int64_t panel = 0; panel < whole; ++panel) {
      std::memcpy(to + panel * next, row + panel * kWidth, kWidth * sizeof(float));
    }
    if (left == 0) continue;
    float* last = to + whole * next;
    std::memcpy(last, row + whole * kWidth, static_cast<std::size_t>(left) * sizeof(float));
    std::fill(last + left, last + kWidth, 0.0f);
  }
}

/// to[line / kWidth][k][line % kWidth], zeros beyond the last line. Up to kLanes floats behind the end are
/// overwritten.
template <int kWidth>
void pack(const Lines& from, std::int64_t lines, std::int64_t depth, float* to) {
  if (from.adjacent == Lines::Adjacent::line) return pack_by_depth<kWidth>(from, lines, depth, to);
  for (std::int64_t first = 0; first < lines; first += kWidth, to += depth * kWidth) {
    const std::int64_t count = lines - first;
    // Twice, so that where all lines exist nobody asks.
    if (count >= kWidth) {
      pack_panel_by_line<kWidth>(from.from(first, 0), kWidth, depth, to);
    } else {
      pack_panel_by_line<kWidth>(from.from(first, 0), count, depth, to);
    }
  }
}

}  // namespace caravan::host
