#include "caravan/ops/loss.hpp"
#include "plugins/device/cuda/kernels/exponentials.cuh"
#include "plugins/device/cuda/kernels/hopper.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/loss/softmax_rows.hpp"

// Rows of logits come through a ring in shared memory, piece by piece. A group of warps walks a row twice
// there, and a piece makes room for one of a later row when its gradients are written. The groups take rows
// in turn, so that one sums while another writes, and the copy engine always has work.
namespace caravan::cuda {
namespace {

constexpr int kGroups = 3, kWarps = 8, kThreads = kWarps * static_cast<int>(kWarp);  // of a group
constexpr int kStep = 4, kSteps = 2;  // logits of one access, and accesses of a thread in a piece
constexpr int kStride = kThreads * kStep, kPiece = kStride * kSteps, kPieces = 28;
constexpr int kRingBytes = kPieces * kPiece * static_cast<int>(sizeof(float));
/// With static shared memory, which holds the barriers.
constexpr std::size_t kSharedBytes = kRingBytes + 1024;
/// Pieces of the longest row: the others are on their way meanwhile.
constexpr int kMostOfRow = 24;
constexpr std::int64_t kShortest = 4096;

template <class T>
struct Job {
  const float* logits;
  const std::int32_t* labels;
  double* losses;
  T* dlogits;
  std::int64_t rows, logits_stride, dlogits_stride;
  int columns, pieces;  ///< of a row
  float scale;
};

struct Barriers {
  std::uint64_t full[kPieces], empty[kPieces];
  std::uint64_t summed[kGroups];  ///< a phase a row of the group
};

/// Walks round the ring; the parity is that of the round.
struct Cursor {
  int room = 0;
  unsigned parity = 0;

  __device__ void advance(int pieces = 1) {
    room += pieces;
    if (room < kPieces) return;
    room -= kPieces;
    parity ^= 1;
  }
};

__device__ void copy_in(std::uint32_t to, const float* from, unsigned bytes, std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

/// One thread: rows that are not ignored, in order.
template <class T>
__device__ void load_rows(const Job<T>& job, const float* ring, Barriers& barriers) {
  Cursor at;
  for (std::int64_t t = blockIdx.x; t < job.rows; t += gridDim.x) {
    if (job.labels[t] == kIgnoredLabel) continue;
    const float* row = job.logits + t * job.logits_stride;
    for (int first = 0; first < job.columns; first += kPiece, at.advance()) {
      const std::uint32_t full = hopper::shared_address(barriers.full + at.room);
      const unsigned bytes = min(kPiece, job.columns - first) * sizeof(float);
      hopper::wait(hopper::shared_address(barriers.empty + at.room), at.parity ^ 1);
      hopper::arrive_expecting(full, bytes);
      copy_in(hopper::shared_address(ring + at.room * kPiece), row + first, bytes, full);
    }
  }
}

/// One of the groups that walk rows.
struct Group {
  int index, thread;
  int place = 0;  ///< where the next sum is merged; two in turn, so that one barrier is enough

  __device__ Group() : index(threadIdx.x / kThreads), thread(threadIdx.x % kThreads) {}

  /// Of all threads of the group, on each of them.
  __device__ Exponentials merge(const Exponentials& mine) {
    __shared__ Exponentials parts[kGroups][2][kWarps];
    const int lane = thread % static_cast<int>(kWarp), warp = thread / static_cast<int>(kWarp);
    const Exponentials of_warp = mine.of_warp();
    if (lane == 0) parts[index][place][warp] = of_warp;
    hopper::sync_named<kThreads>(1 + index);
    const Exponentials all = (lane < kWarps ? parts[index][place][lane] : Exponentials{}).of_warp();
    place ^= 1;
    return all;
  }
};

/// A row that is not ignored, the `number`-th of this block.
struct Row {
  std::int64_t t;
  int number;
  Cursor first;

  /// Until all rows before this one are in shared memory. Only then is no piece of the ring more than one
  /// round behind this row, and what its barriers say is about the round that is meant.
  __device__ void wait_for_turn(Barriers& barriers) const {
    if (number == 0) return;
    const int before = number - 1;
    hopper::wait(hopper::shared_address(barriers.summed + before % kGroups), before / kGroups & 1);
  }
};

__device__ float logit_at(const float* ring, Cursor at, int column) {
  at.advance(column / kPiece);
  return ring[at.room * kPiece + column % kPiece];
}

/// The first walk, and what follows from it but the gradients.
template <class T>
__device__ Exponentials sum_row(const Job<T>& job, const Row& row, const float* ring, Barriers& barriers,
                                Group& group) {
  Cursor at = row.first;
  Exponentials part;
  row.wait_for_turn(barriers);
  for (int begin = 0; begin < job.columns; begin += kPiece, at.advance()) {
    hopper::wait(hopper::shared_address(barriers.full + at.room), at.parity);
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const int mine = k * kStride + group.thread * kStep;
      if (begin + mine < job.columns) part.add(load<kStep>(ring + at.room * kPiece + mine));
    }
  }
  const Exponentials all = group.merge(part);
  const std::int64_t label = job.labels[row.t];
  if (group.thread == 0) {
    hopper::arrive(hopper::shared_address(barriers.summed + group.index));
    const bool exists = label >= 0 && label < job.columns;
    job.losses[row.t] =
        loss_of(all, exists ? double{logit_at(ring, row.first, static_cast<int>(label))} : nan(""));
  }
  return all;
}

/// The second walk.
template <class T>
__device__ void write_row(const Job<T>& job, const Row& row, const float* ring, Barriers& barriers,
                          const Group& group, const Exponentials& all) {
  Cursor at = row.first;
  const LogitGradient<T> to(job.dlogits + row.t * job.dlogits_stride, job.scale, all, job.labels[row.t]);
  for (int begin = 0; begin < job.columns; begin += kPiece, at.advance()) {
    Floats<kStep> z[kSteps];
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      z[k] = load<kStep>(ring + at.room * kPiece + k * kStride + group.thread * kStep);
    }
    __syncwarp();
    if (threadIdx.x % kWarp == 0) hopper::arrive(hopper::shared_address(barriers.empty + at.room));
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const int column = begin + k * kStride + group.thread * kStep;
      if (job.dlogits && column < job.columns) to.write(column, z[k]);
    }
  }
}

template <class T>
__device__ void ignore_row(const Job<T>& job, std::int64_t t, const Group& group) {
  if (group.thread == 0) job.losses[t] = 0;
  if (!job.dlogits) return;
  for (int v = group.thread * kStep; v < job.columns; v += kStride) {
    store(job.dlogits + t * job.dlogits_stride + v, Floats<kStep>{});
  }
}

/// Every third row of this block that is not ignored.
template <class T>
__device__ void visit_rows(const Job<T>& job, const float* ring, Barriers& barriers) {
  Group group;
  Cursor at;
  int number = 0;
  for (std::int64_t t = blockIdx.x; t < job.rows; t += gridDim.x) {
    const bool ignored = job.labels[t] == kIgnoredLabel, mine = number % kGroups == group.index;
    if (ignored && mine) ignore_row(job, t, group);
    if (ignored) continue;
    if (mine) {
      const Row row{t, number, at};
      const Exponentials all = sum_row(job, row, ring, barriers, group);
      write_row(job, row, ring, barriers, group, all);
    }
    at.advance(job.pieces);
    ++number;
  }
}

template <class T>
__global__ void __launch_bounds__(kGroups* kThreads + kWarp) softmax_rows_once_kernel(const Job<T> job) {
  extern __shared__ __align__(128) float ring[];
  __shared__ Barriers barriers;
  if (threadIdx.x == 0) {
    for (int room = 0; room < kPieces; ++room) {
      hopper::init_barrier(hopper::shared_address(barriers.full + room), 1);
      hopper::init_barrier(hopper::shared_address(barriers.empty + room), kWarps);
    }
    for (std::uint64_t& summed : barriers.summed) hopper::init_barrier(hopper::shared_address(&summed), 1);
    hopper::fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < kGroups * kThreads) return visit_rows(job, ring, barriers);
  if (threadIdx.x == kGroups * kThreads) load_rows(job, ring, barriers);
}

}  // namespace

bool fits_once(const Context& context, const SoftmaxRows& rows) {
  const std::int64_t columns = rows.logits.columns;
  return columns >= kShortest && columns <= std::int64_t{kMostOfRow} * kPiece &&
         context.shared_memory() >= kSharedBytes && rows_of_16_bytes({rows.logits, rows.dlogits});
}

void softmax_rows_once(const Context& context, const SoftmaxRows& rows) {
  const Matrix& logits = rows.logits;
  with_type(rows.dlogits ? rows.dlogits.dtype : DType::f32, [&]<class T>() {
    const Job<T> job{logits.as<const float>(),
                     rows.labels,
                     rows.losses,
                     rows.dlogits.as<T>(),
                     logits.rows,
                     logits.stride,
                     rows.dlogits.stride,
                     static_cast<int>(logits.columns),
                     static_cast<int>(ceil_div(logits.columns, kPiece)),
                     rows.gradient_scale};
    CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(softmax_rows_once_kernel<T>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize, kRingBytes));
    softmax_rows_once_kernel<T><<<resident_blocks(context, logits.rows, 1, 1), kGroups * kThreads + kWarp,
                                  kRingBytes, context.stream()>>>(job);
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
