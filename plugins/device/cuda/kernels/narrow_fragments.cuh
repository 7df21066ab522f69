#pragma once

#include <cstdint>

#include "plugins/device/cuda/kernels/dtype.cuh"
#include "plugins/device/cuda/kernels/vec.cuh"

// Fragments of mma.m16n8k16 in bf16 straight from rows in memory. A product does not care in which order its
// depth is added nor which column is which, so every lane reads 16 neighbouring bytes and calls them what the
// instruction wants. In a lane's fragment `group` = lane / 4 and `member` = lane % 4.
namespace caravan::cuda {

struct FragmentLane {
  int group, member;
  __device__ FragmentLane()
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

/// Where the 64 columns of a group are: a lane reads eight of them from column_read() on. Fragment j of eight
/// has one column of every lane; so elements 0 and 2 of a lane's results of all j are eight neighbours from
/// column_of(0) on, 1 and 3 those from column_of(1) on, and four lanes write 64 bytes of a row together.
__device__ inline int column_read(const FragmentLane& lane) {
  return 8 * (lane.group / 2) + 32 * (lane.group % 2);
}
__device__ inline int column_of(int member, int element) {
  return 8 * member + 32 * (element % 2);
}

/// Depth 16 of 64 columns of a row-major matrix, of which this lane has the depths member, + 4, + 8, + 12;
/// a pair of the other factor is the depth member or member + 8 and the one four later.
struct DepthRows {
  Eight row[4];

  /// at(depth) is the address of this lane's columns.
  template <class At>
  __device__ void read(int depth, const At& at) {
    const int first = depth + FragmentLane().member;
#pragma unroll
    for (int i = 0; i < 4; ++i) row[i] = eight_at(at(first + 4 * i));
  }
  __device__ std::uint32_t of(int j, int half) const {
    const std::uint32_t low = row[2 * half].pair[j / 2], high = row[2 * half + 1].pair[j / 2];
    return __byte_perm(low, high, j % 2 ? 0x7632 : 0x5410);
  }
};

}  // namespace caravan::cuda
