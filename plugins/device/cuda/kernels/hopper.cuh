#pragma once

#include <cuda.h>

#include <cstdint>

// Hopper's asynchronous machinery as functions: barriers in shared memory that count bytes, the tensor copy
// engine, and the fences around both. PTX ISA 8.x, chapters "mbarrier", "cp.async.bulk.tensor" and
// "setmaxnreg".
// Shared memory is addressed by 32 bits here, as these instructions do.
namespace caravan::cuda::hopper {

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ inline void init_barrier(std::uint32_t barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
/// Makes initialised barriers visible to the copy engine and to the other block of the cluster.
__device__ inline void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
/// One arrival, and `bytes` that the copy engine will bring before the phase ends.
__device__ inline void arrive_expecting(std::uint32_t barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ inline void arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// On the barrier at the same place in the block `rank` of the cluster. Without `.release.cluster`, for which
/// the compiler adds a fence of the whole GPU: what this orders is the copy engine after the tensor cores,
/// which are done with shared memory by then, and a store after loads whose numbers have arrived.
__device__ inline void arrive_at(std::uint32_t barrier, unsigned rank) {
  asm volatile(
      "{\n.reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}
/// A number to this address in the block `rank` of the cluster, and its bytes to the barrier there, which
/// expects them.
__device__ inline void store_at(std::uint32_t to, int value, std::uint32_t barrier, unsigned rank) {
  asm volatile(
      "{\n.reg .b32 remote, remote_barrier;\n"
      "mapa.shared::cluster.u32 remote, %0, %3;\n"
      "mapa.shared::cluster.u32 remote_barrier, %2, %3;\n"
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [remote], %1, [remote_barrier];\n}" ::"r"(
          to),
      "r"(value), "r"(barrier), "r"(rank)
      : "memory");
}
__device__ inline int load_shared(std::uint32_t from) {
  int value;
  asm volatile("ld.shared.s32 %0, [%1];" : "=r"(value) : "r"(from) : "memory");
  return value;
}
/// Until the phase of this parity is over. A barrier starts in phase 0, so parity 1 does not wait.
__device__ inline void wait(std::uint32_t barrier, unsigned parity) {
  asm volatile(
      "{\n.reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// Where a box begins in a tensor: elements, innermost first.
struct Box {
  int column, row, matrix;
};

/// Copies a box into shared memory of this block, or with `blocks` > 1 to the same place of all blocks of the
/// cluster, and tells the barrier at the same place there.
template <int kBlocks>
__device__ inline void load_box(std::uint32_t to, const CUtensorMap& map, Box at, std::uint32_t barrier) {
  const auto from = reinterpret_cast<std::uint64_t>(&map);
  if constexpr (kBlocks == 1) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
        "l"(from), "r"(barrier), "r"(at.column), "r"(at.row), "r"(at.matrix)
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(to),
        "l"(from), "r"(barrier), "r"(at.column), "r"(at.row), "r"(at.matrix),
        "h"(static_cast<std::uint16_t>((1 << kBlocks) - 1))
        : "memory");
  }
}
/// Writes a box of shared memory to global memory. What lies outside the tensor is dropped.
__device__ inline void store_box(const CUtensorMap& map, Box at, std::uint32_t from) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(
                   reinterpret_cast<std::uint64_t>(&map)),
               "r"(from), "r"(at.column), "r"(at.row), "r"(at.matrix)
               : "memory");
}
__device__ inline void commit_boxes() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// Until all but the last `kPending` groups of this thread have been read from shared memory.
template <int kPending>
__device__ inline void wait_boxes_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
/// Before the tensor cores or the copy engine read what this thread wrote with ordinary stores.
__device__ inline void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ inline void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
template <int kThreads>
__device__ inline void sync_named(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(kThreads) : "memory");
}

template <int kRegisters>
__device__ inline void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// Four 8×8 matrices of 2-byte elements from the fragment layout of the tensor cores to shared memory; lane l
/// gives the address of row l % 8 of matrix l / 8.
__device__ inline void store_matrices(std::uint32_t to, const std::uint32_t (&from)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(from[0]),
               "r"(from[1]), "r"(from[2]), "r"(from[3])
               : "memory");
}
/// The other way round, from the same addresses.
__device__ inline void load_matrices(std::uint32_t (&to)[4], std::uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

}  // namespace caravan::cuda::hopper
