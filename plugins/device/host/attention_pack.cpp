#include "attention_pack.hpp"

#include <algorithm>
#include <cstring>

#include "transpose.hpp"

namespace caravan::host {
namespace {

void copy_padded(const float* from, std::int64_t width, float* to, std::int64_t padded) {
  std::memcpy(to, from, static_cast<std::size_t>(width) * sizeof(float));
  if (padded > width) std::memset(to + width, 0, static_cast<std::size_t>(padded - width) * sizeof(float));
}

}  // namespace

void pack_rows(const AttentionCall& call, const HeadRows& from, const KeyHead& which, float* to) {
  for (std::int64_t j = 0; j < call.keys; ++j) {
    copy_padded(from.row(which.sequence, j, which.head), call.width, to + j * call.padded_width,
                call.padded_width);
  }
  std::fill(to + call.keys * call.padded_width, to + call.padded_keys * call.padded_width, 0.0f);
}

namespace {

/// Vectors that hold the keys of a panel at one d.
constexpr int kGroups = (kPanel + kLanes - 1) / kLanes;

/// Rows of one panel into [d][kPanel]. Each store is a whole vector, and what hangs over is overwritten by
/// the next one; behind the last panel there is room for it.
void pack_panel(const float* const (&rows)[kGroups * kLanes], std::int64_t width, float* to) {
  for (std::int64_t d = 0; d < width; d += kLanes) {
    Vec block[kGroups][kLanes];
#pragma GCC unroll 2
    for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) block[g][i] = load(rows[g * kLanes + i] + d);
      transpose(block[g]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
#pragma GCC unroll 2
      for (int g = 0; g < kGroups; ++g) store(to + (d + i) * kPanel + g * kLanes, block[g][i]);
    }
  }
}

}  // namespace

std::int64_t panels_size(const AttentionCall& call) {
  return call.padded_keys * call.padded_width + kGroups * kLanes;
}

void pack_panels(const AttentionCall& call, const HeadRows& from, const KeyHead& which, float* scratch,
                 float* to) {
  const std::int64_t padded = call.padded_width;
  for (std::int64_t first = 0; first < call.padded_keys; first += kPanel, to += kPanel * padded) {
    const float* rows[kGroups * kLanes];
    std::fill_n(rows, kGroups * kLanes, scratch + kPanel * padded);
    std::fill_n(scratch + kPanel * padded, padded, 0.0f);
    for (std::int64_t m = 0; m < std::min<std::int64_t>(kPanel, call.keys - first); ++m) {
      rows[m] = from.row(which.sequence, first + m, which.head);
      if (call.width == padded) continue;
      copy_padded(rows[m], call.width, scratch + m * padded, padded);
      rows[m] = scratch + m * padded;
    }
    pack_panel(rows, padded, to);
  }
}

float largest_square(const AttentionCall& call, const float* panels) {
  float largest[kPanel] = {};
  for (std::int64_t first = 0; first < call.padded_keys;
       first += kPanel, panels += kPanel * call.padded_width) {
    float squares[kPanel] = {};
    for (std::int64_t d = 0; d < call.width; ++d) {
      for (int m = 0; m < kPanel; ++m) squares[m] += panels[d * kPanel + m] * panels[d * kPanel + m];
    }
    // Written so that a norm that is not a number stays.
    for (int m = 0; m < kPanel; ++m) largest[m] = squares[m] <= largest[m] ? largest[m] : squares[m];
  }
  float result = 0;
  for (float square : largest) result = square <= result ? result : square;
  return result;
}

void pack_queries(const AttentionCall& call, const HeadRows& from, const QueryRows& which, float* rows) {
  const std::int64_t count = std::min<std::int64_t>(kQueries, call.queries - which.first);
  for (std::int64_t i = 0; i < count; ++i) {
    copy_padded(from.row(which.sequence, which.first + i, which.head), call.width,
                rows + i * call.padded_width, call.padded_width);
  }
  std::fill(rows + count * call.padded_width, rows + kQueries * call.padded_width, 0.0f);
}

void transpose_queries(const float* rows, std::int64_t width, float factor, float* to) {
  for (std::int64_t d = 0; d < width; d += kLanes) {
    for (int vector = 0; vector < kQueryVectors; ++vector) {
      Vec block[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) block[i] = load(rows + (vector * kLanes + i) * width + d);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i)
        store(to + (d + i) * kQueries + vector * kLanes, block[i] * broadcast(factor));
    }
  }
}

void transpose_back(const float* from, std::int64_t width, const float* factors, float* rows) {
  for (std::int64_t d = 0; d < width; d += kLanes) {
    for (int vector = 0; vector < kQueryVectors; ++vector) {
      const Vec factor = load(factors + vector * kLanes);
      Vec block[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) block[i] = load(from + (d + i) * kQueries + vector * kLanes) * factor;
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(rows + (vector * kLanes + i) * width + d, block[i]);
    }
  }
}

void unpack_queries(const AttentionCall& call, const float* rows, const QueryRows& which,
                    const HeadRows& to) {
  const std::int64_t count = std::min<std::int64_t>(kQueries, call.queries - which.first);
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(to.row(which.sequence, which.first + i, which.head), rows + i * call.padded_width,
                static_cast<std::size_t>(call.width) * sizeof(float));
  }
}

void add_queries(const AttentionCall& call, const float* rows, const QueryRows& which, const HeadRows& to) {
  const std::int64_t count = std::min<std::int64_t>(kQueries, call.queries - which.first);
  for (std::int64_t i = 0; i < count; ++i) {
    float* row = to.row(which.sequence, which.first + i, which.head);
    for (std::int64_t d = 0; d < call.width; ++d) row[d] += rows[i * call.padded_width + d];
  }
}

}  // namespace caravan::host
