#pragma once

#include <cstdint>

#include "dtype.cuh"
#include "vec.cuh"

// Fragments of mma.m16n8k16 in bf16 straight from rows in memory. A product does not care in which order its
// depth is added nor which column is which, so every lane reads 16 neighbouring bytes and calls them what the
// instruction wants. In a lane's fragment `group` = lane / 4 and `member` = lane % 4.
namespace caravan::cuda {

struct Lane {
  int group, member;
  __device__ Lane()
      : group(static_cast<int>(threadIdx.x % kWarp) / 4), member(static_cast<int>(threadIdx.x) % 4) {}
};

/// Eight neighbours of a row.
union Eight {
  uint4 all;
  std::uint32_t pair[4];
};

__device__ inline Eight eight_at(const bf16* from) {
  Eight values;
  values.all = *reinterpret_cast<const uint4*>(from);
  return values;
}

/// sum += a·b for 16×16 and 16×8.
__device__ inline void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two of a narrow matrix as a pair, the first in the lower half.
__device__ inline std::uint32_t pair_of(bf16 first, bf16 second) {
  return std::uint32_t{__bfloat16_as_ushort(second)} << 16 | __bfloat16_as_ushort(first);
}

/// Depth 16 of 64 columns of a row-major matrix: lane `group` has columns 8·group + 0 … 7 of the depths
/// 2·member, + 1, + 8 and + 9. Fragment j of eight is column 8·group + j; so a lane's results of all j are
/// the columns 16·member + 0 … 7 (elements 0 and 2) and 16·member + 8 … 15 (elements 1 and 3).
struct DepthRows {
  Eight row[4];

  /// at(depth) is the address of this lane's columns.
  template <class At>
  __device__ void read(int depth, const At& at) {
    const int first = depth + 2 * Lane().member;
    row[0] = eight_at(at(first));
    row[1] = eight_at(at(first + 1));
    row[2] = eight_at(at(first + 8));
    row[3] = eight_at(at(first + 9));
  }
  __device__ std::uint32_t of(int j, int half) const {
    const std::uint32_t low = row[2 * half].pair[j / 2], high = row[2 * half + 1].pair[j / 2];
    return __byte_perm(low, high, j % 2 ? 0x7632 : 0x5410);
  }
};

}  // namespace caravan::cuda
