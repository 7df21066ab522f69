#include "caravan/ops/loss.hpp"
#include "exponentials.cuh"
#include "hopper.cuh"
#include "launch.hpp"
#include "softmax_rows.hpp"

// Rows of logits come through a ring in shared memory, piece by piece. The threads walk a row twice there,
// and a piece makes room for one of the next row when its gradients are written; so the copy engine always
// has work, also while the sum of a row is not yet known.
namespace caravan::cuda {
namespace {

constexpr int kWarps = 16, kThreads = kWarps * static_cast<int>(kWarp);  // besides the warp that loads
constexpr int kStep = 4;                                                 // logits of a thread in a piece
constexpr int kPiece = kThreads * kStep, kPieces = 28;
constexpr int kRingBytes = kPieces * kPiece * static_cast<int>(sizeof(float));
/// Beside its static shared memory, which holds the barriers.
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
  int columns;
  float scale;
};

struct Barriers {
  std::uint64_t full[kPieces], empty[kPieces];
};

/// Walks round the ring; the parity is that of the round.
struct Cursor {
  int slot = 0;
  unsigned parity = 0;

  __device__ void advance() {
    if (++slot < kPieces) return;
    slot = 0;
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
      const std::uint32_t full = hopper::shared_address(barriers.full + at.slot);
      const unsigned bytes = min(kPiece, job.columns - first) * sizeof(float);
      hopper::wait<false>(hopper::shared_address(barriers.empty + at.slot), at.parity ^ 1);
      hopper::arrive_expecting(full, bytes);
      copy_in(hopper::shared_address(ring + at.slot * kPiece), row + first, bytes, full);
    }
  }
}

/// Of all threads but the loading warp's, on each of them. Calls alternate between two places, so that one
/// barrier is enough.
__device__ Exponentials merge_threads(const Exponentials& mine, int place) {
  __shared__ Exponentials parts[2][kWarps];
  const Exponentials of_warp = mine.of_warp();
  if (threadIdx.x % kWarp == 0) parts[place][threadIdx.x / kWarp] = of_warp;
  hopper::sync_named<kThreads>(1);
  const unsigned lane = threadIdx.x % kWarp;
  return (lane < kWarps ? parts[place][lane] : Exponentials{}).of_warp();
}

__device__ float logit_at(const float* ring, const Cursor& first, std::int64_t column) {
  const int slot = first.slot + static_cast<int>(column / kPiece);
  return ring[(slot < kPieces ? slot : slot - kPieces) * kPiece + column % kPiece];
}

/// The two walks over the row that begins at `at`, which moves to the next one.
template <class T>
__device__ void visit_row(const Job<T>& job, std::int64_t t, const float* ring, Barriers& barriers,
                          Cursor& at, int place) {
  const int mine = static_cast<int>(threadIdx.x) * kStep;
  const Cursor first = at;
  Exponentials part;
  for (int begin = 0; begin < job.columns; begin += kPiece, at.advance()) {
    hopper::wait<false>(hopper::shared_address(barriers.full + at.slot), at.parity);
    if (begin + mine < job.columns) part.add(load<kStep>(ring + at.slot * kPiece + mine));
  }
  const Exponentials all = merge_threads(part, place);
  const std::int64_t label = job.labels[t];
  if (threadIdx.x == 0) {
    const bool exists = label >= 0 && label < job.columns;
    job.losses[t] = loss_of(all, exists ? double{logit_at(ring, first, label)} : nan(""));
  }
  at = first;
  const LogitGradient<T> to(job.dlogits + t * job.dlogits_stride, job.scale, all, label);
  for (int begin = 0; begin < job.columns; begin += kPiece, at.advance()) {
    const bool writes = job.dlogits && begin + mine < job.columns;
    Floats<kStep> z{};
    if (writes) z = load<kStep>(ring + at.slot * kPiece + mine);
    __syncwarp();
    if (threadIdx.x % kWarp == 0) hopper::arrive(hopper::shared_address(barriers.empty + at.slot));
    if (writes) to.write(begin + mine, z);
  }
}

template <class T>
__device__ void ignore_row(const Job<T>& job, std::int64_t t) {
  if (threadIdx.x == 0) job.losses[t] = 0;
  if (!job.dlogits) return;
  for (int v = static_cast<int>(threadIdx.x) * kStep; v < job.columns; v += kPiece) {
    store(job.dlogits + t * job.dlogits_stride + v, Floats<kStep>{});
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads + kWarp) softmax_rows_once_kernel(const Job<T> job) {
  extern __shared__ __align__(128) float ring[];
  __shared__ Barriers barriers;
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < kPieces; ++slot) {
      hopper::init_barrier(hopper::shared_address(barriers.full + slot), 1);
      hopper::init_barrier(hopper::shared_address(barriers.empty + slot), kWarps);
    }
    hopper::fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x >= kThreads) {
    if (threadIdx.x == kThreads) load_rows(job, ring, barriers);
    return;
  }
  Cursor at;
  int place = 0;
  for (std::int64_t t = blockIdx.x; t < job.rows; t += gridDim.x) {
    if (job.labels[t] == kIgnoredLabel) {
      ignore_row(job, t);
      continue;
    }
    visit_row(job, t, ring, barriers, at, place);
    place ^= 1;
  }
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
                     rows.gradient_scale};
    CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(softmax_rows_once_kernel<T>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize, kRingBytes));
    softmax_rows_once_kernel<T>
        <<<resident_blocks(context, logits.rows, 1, 1), kThreads + kWarp, kRingBytes, context.stream()>>>(
            job);
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
