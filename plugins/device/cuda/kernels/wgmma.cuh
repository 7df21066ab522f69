#pragma once

#include <cstdint>

// The tensor cores of Hopper. One warpgroup multiplies A [64 × 16] by B [16 × N], both bf16 in shared
// memory, and adds to f32 accumulators in registers. PTX ISA, "wgmma.mma_async".
namespace caravan::cuda::hopper {

/// Along which index a tile is adjacent in shared memory, always in rows of 128 bytes that the copy engine
/// swizzled:
/// `depth`: a row is 64 elements along the summed index, one row an output row;
/// `outputs`: a row is 64 output rows, one row a summed index, and 64 of those make a slab of 8 KiB.
enum class Major { depth, outputs };

/// Bytes from 16 summed indices to the next 16.
template <Major kMajor>
inline constexpr std::uint32_t kStepBytes = kMajor == Major::depth ? 32 : 16 * 128;

/// Descriptor of a tile that starts at an address divisible by 1024 or `steps` further along the summed
/// index. Bits 0–13 address, 16–29 leading and 32–45 stride offset, all ÷ 16; 62–63: 128-byte swizzle. The
/// stride goes from 8 rows of 128 bytes to the next 8; the leading offset from one slab to the next (unused
/// for `depth`).
template <Major kMajor>
__device__ inline std::uint64_t tile_descriptor(std::uint32_t address) {
  constexpr std::uint64_t kLeading = kMajor == Major::depth ? 1 : 8192 / 16;
  constexpr std::uint64_t kFixed =
      (std::uint64_t{1} << 62) | (std::uint64_t{1024 / 16} << 32) | (kLeading << 16);
  return kFixed | ((address & 0x3FFFF) >> 4);
}

/// Before the first product of a batch: registers and shared memory as they are now may be read.
__device__ inline void open_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until all but the last `kPending` batches are done.
template <int kPending>
__device__ inline void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

#define CARAVAN_ACC4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define CARAVAN_ACC8(i) CARAVAN_ACC4(i), CARAVAN_ACC4(i + 4)

/// d = a·b (+ d when `add`) with N = 128 or 192 columns. Lane l of warp w holds rows 16w + l/4 (+ 8) and
/// columns 8i + 2·(l mod 4) (+ 1): d[4i], d[4i + 1] of the first row, d[4i + 2], d[4i + 3] of the second.
template <Major kA, Major kB>
__device__ inline void multiply(float (&d)[64], std::uint64_t a, std::uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, add, 1, 1, %67, %68;\n}"
      : CARAVAN_ACC8(0), CARAVAN_ACC8(8), CARAVAN_ACC8(16), CARAVAN_ACC8(24), CARAVAN_ACC8(32),
        CARAVAN_ACC8(40), CARAVAN_ACC8(48), CARAVAN_ACC8(56)
      : "l"(a), "l"(b), "r"(add), "n"(kA == Major::outputs), "n"(kB == Major::outputs));
}

template <Major kA, Major kB>
__device__ inline void multiply(float (&d)[96], std::uint64_t a, std::uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %98, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
      "}, %96, %97, add, 1, 1, %99, %100;\n}"
      : CARAVAN_ACC8(0), CARAVAN_ACC8(8), CARAVAN_ACC8(16), CARAVAN_ACC8(24), CARAVAN_ACC8(32),
        CARAVAN_ACC8(40), CARAVAN_ACC8(48), CARAVAN_ACC8(56), CARAVAN_ACC8(64), CARAVAN_ACC8(72),
        CARAVAN_ACC8(80), CARAVAN_ACC8(88)
      : "l"(a), "l"(b), "r"(add), "n"(kA == Major::outputs), "n"(kB == Major::outputs));
}

/// The same with A in registers, N = 64 or 128: a[0] and a[2] are pairs of row 16w + l/4 at the depths
/// 2·(l mod 4) and 8 further, a[1] and a[3] those of 8 rows below.
template <Major kB>
__device__ inline void multiply(float (&d)[32], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
      "}, {%32, %33, %34, %35}, %36, add, 1, 1, %37;\n}"
      : CARAVAN_ACC8(0), CARAVAN_ACC8(8), CARAVAN_ACC8(16), CARAVAN_ACC8(24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kB == Major::outputs));
}

template <Major kB>
__device__ inline void multiply(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, {%64, %65, %66, %67}, %68, add, 1, 1, %69;\n}"
      : CARAVAN_ACC8(0), CARAVAN_ACC8(8), CARAVAN_ACC8(16), CARAVAN_ACC8(24), CARAVAN_ACC8(32),
        CARAVAN_ACC8(40), CARAVAN_ACC8(48), CARAVAN_ACC8(56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kB == Major::outputs));
}

#undef CARAVAN_ACC8
#undef CARAVAN_ACC4

}  // namespace caravan::cuda::hopper
