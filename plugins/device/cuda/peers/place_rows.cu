#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"

// Where rows of experts go. One block works out where the blocks of rows begin; then every row looks up the
// one that it is in.
namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;

/// P ranks with L experts each.
struct Counts {
  const std::int32_t* first_rows;  ///< [P, E+1]
  int ranks, local, rank, most_received;

  __device__ int experts() const { return ranks * local; }
  __device__ int first(int from, int expert) const { return first_rows[from * (experts() + 1) + expert]; }
  __device__ int rows(int from, int expert) const { return first(from, expert + 1) - first(from, expert); }
};

/// In scratch memory, from the first kernel to the second.
struct Begins {
  std::int32_t* sent;  ///< [E] the received row of this rank's first row for each expert
  std::int32_t*
      received;  ///< [L·P + 1] first received row of each block, expert by expert and of one by sender
};

/// Rows of all ranks for one expert.
__device__ int rows_of(const Counts& counts, int expert) {
  int sum = 0;
  for (int from = 0; from < counts.ranks; ++from) sum += counts.rows(from, expert);
  return sum;
}

/// One thread a receiving rank: `begins.sent` of its experts. Rows that it has no room for.
__device__ long long place_sent(const Counts& counts, const Begins& begins, int to) {
  long long row = 0;
  for (int expert = to * counts.local; expert < (to + 1) * counts.local; ++expert) {
    int before = 0;
    for (int from = 0; from < counts.rank; ++from) before += counts.rows(from, expert);
    begins.sent[expert] = static_cast<std::int32_t>(row + before);
    row += rows_of(counts, expert);
  }
  return row > counts.most_received ? row - counts.most_received : 0;
}

__device__ void place_received(const Counts& counts, const Begins& begins, std::int32_t* offsets, bool lost) {
  int row = 0, block = 0;
  offsets[0] = 0;
  for (int l = 0; l < counts.local; ++l) {
    for (int from = 0; from < counts.ranks; ++from) {
      begins.received[block++] = row;
      row += counts.rows(from, counts.rank * counts.local + l);
    }
    offsets[l + 1] = lost ? 0 : row;
  }
  begins.received[block] = row;
}

/// One block. Single threads go through the table, so it is brought near where it fits.
__global__ void begins_kernel(Counts counts, Begins begins, std::int32_t* offsets, std::int32_t* lost,
                              double* overflow) {
  constexpr int kNear = 8192;
  __shared__ std::int32_t near[kNear];
  __shared__ unsigned long long without_room;
  if (threadIdx.x == 0) without_room = 0;
  const int numbers = counts.ranks * (counts.experts() + 1);
  if (numbers <= kNear) {
    for (int at = static_cast<int>(threadIdx.x); at < numbers; at += static_cast<int>(blockDim.x))
      near[at] = counts.first_rows[at];
    counts.first_rows = near;
  }
  __syncthreads();
  for (int to = static_cast<int>(threadIdx.x); to < counts.ranks; to += static_cast<int>(blockDim.x)) {
    const long long rows = place_sent(counts, begins, to);
    if (rows > 0) atomicAdd(&without_room, static_cast<unsigned long long>(rows));
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  *lost = without_room > 0 ? 1 : 0;
  if (overflow != nullptr && without_room > 0 && *overflow == 0)
    *overflow = static_cast<double>(without_room) / counts.ranks;
  place_received(counts, begins, offsets, without_room > 0);
}

/// The last of the ascending `begins` that is not above `row`; there is one.
template <class Begin>
__device__ int block_of(int row, int blocks, const Begin& begin) {
  int low = 0, high = blocks;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (begin(middle) <= row ? low : high) = middle;
  }
  return low;
}

__global__ void __launch_bounds__(kThreads)
    sent_kernel(Counts counts, Begins begins, const std::int32_t* lost, std::int32_t* to_rank,
                std::int32_t* to_row, int choices) {
  const int row = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (row >= choices) return;
  const int experts = counts.experts();
  if (*lost != 0 || row >= counts.first(counts.rank, experts)) {
    to_rank[row] = to_row[row] = -1;
    return;
  }
  const int expert = block_of(row, experts, [&](int e) { return counts.first(counts.rank, e); });
  to_rank[row] = expert / counts.local;
  to_row[row] = begins.sent[expert] + row - counts.first(counts.rank, expert);
}

__global__ void __launch_bounds__(kThreads)
    received_kernel(Counts counts, Begins begins, const std::int32_t* lost, std::int32_t* back_rank,
                    std::int32_t* back_row, std::int32_t* arrived) {
  const int row = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (row >= counts.most_received) return;
  const int blocks = counts.local * counts.ranks;
  if (*lost != 0 || row >= begins.received[blocks]) {
    back_rank[row] = back_row[row] = arrived[row] = -1;
    return;
  }
  const int block = block_of(row, blocks, [&](int b) { return begins.received[b]; });
  const int from = block % counts.ranks, expert = counts.rank * counts.local + block / counts.ranks;
  back_rank[row] = from;
  back_row[row] = counts.first(from, expert) + row - begins.received[block];
  arrived[row] = row;
}

/// The table and who this rank is in it, checked.
Counts counts_of(const Call& call, const PlaceRows& args) {
  const Matrix table = call.matrix("first_rows", args.first_rows, DType::i32, kAny, kAny);
  const std::int64_t ranks = table.rows, experts = table.columns - 1, local = args.offsets.count() - 1;
  if (local * ranks != experts || args.rank < 0 || args.rank >= ranks || table.stride != table.columns)
    call.fail(std::to_string(local) + " experts of rank " + std::to_string(args.rank) + " of " +
              std::to_string(ranks) + " ranks with " + std::to_string(experts) + " in all");
  return {table.as<std::int32_t>(), static_cast<int>(ranks), static_cast<int>(local),
          static_cast<int>(args.rank), static_cast<int>(args.back_rank.count())};
}

}  // namespace

void CudaOps::place_rows(const PlaceRows& args) {
  const Call call("place_rows");
  const Counts counts = counts_of(call, args);
  const std::int64_t choices = args.to_rank.count(), most = args.back_rank.count();
  const auto experts = static_cast<std::size_t>(args.first_rows.extent(1) - 1);
  std::int32_t* const lost = call.indices("lost", args.lost, 1);
  double* const overflow = args.overflow.empty() ? nullptr : call.scalar_f64("overflow", args.overflow);
  Workspace& workspace = context_.workspace();
  workspace.begin((2 * experts + 1) * sizeof(std::int32_t), 2);
  const Begins begins{workspace.take<std::int32_t>(experts), workspace.take<std::int32_t>(experts + 1)};
  begins_kernel<<<1, kThreads, 0, context_.stream()>>>(
      counts, begins, call.indices("offsets", args.offsets, kAny), lost, overflow);
  CARAVAN_CUDA_LAUNCHED();
  sent_kernel<<<blocks_for(choices, kThreads), kThreads, 0, context_.stream()>>>(
      counts, begins, lost, call.indices("to_rank", args.to_rank, choices),
      call.indices("to_row", args.to_row, choices), static_cast<int>(choices));
  CARAVAN_CUDA_LAUNCHED();
  received_kernel<<<blocks_for(most, kThreads), kThreads, 0, context_.stream()>>>(
      counts, begins, lost, call.indices("back_rank", args.back_rank, most),
      call.indices("back_row", args.back_row, most), call.indices("arrived", args.arrived, most));
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
