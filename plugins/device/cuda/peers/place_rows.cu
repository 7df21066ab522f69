#include <algorithm>
#include <string>

#include "plugins/device/cuda/comm/meeting.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"
#include "plugins/device/cuda/peers/turns.cuh"

// Where rows of experts go. Every block works out where the blocks of rows begin, which is little, so that no
// kernel has to wait for another; then every row looks up the one that it is in.
namespace caravan::cuda {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / static_cast<int>(kWarp);
/// It waits for other ranks, so it holds few multiprocessors.
constexpr int kMostBlocks = 16;
/// Of numbers that are kept near, if all fit: the table and where blocks begin.
constexpr int kNear = 8192;

/// P ranks with L experts each.
struct Counts {
  const std::int32_t* first_rows;  ///< [P, E+1]
  int ranks, local, rank, most_received;

  __device__ int experts() const { return ranks * local; }
  __device__ int first(int from, int expert) const { return first_rows[from * (experts() + 1) + expert]; }
  __device__ int rows(int from, int expert) const { return first(from, expert + 1) - first(from, expert); }
  __device__ int rows_to(int from, int to) const {
    return first(from, (to + 1) * local) - first(from, to * local);
  }
};

struct Begins {
  std::int32_t* sent;      ///< [E] the received row of this rank's first row for each expert
  std::int32_t* received;  ///< [E+1] first received row of each block, expert by expert, of one by sender
};
__host__ __device__ constexpr std::int64_t begins_count(std::int64_t experts) {
  return 2 * experts + 1;
}

struct Places {
  std::int32_t *to_rank, *to_row, *offsets, *kept_offsets, *back_rank, *back_row, *arrived, *lost;
  double* overflow;
  int choices;
  TurnList sent, received;
};

/// Of this rank, and where they go.
struct OwnRows {
  const std::int32_t* first;  ///< [E+1], or null
  std::byte* tables[kMostMeeting];
};

/// One block: the row of this rank in the tables of all.
__device__ void send_own_rows(const Counts& counts, const OwnRows& own, const Meeting& meeting) {
  if (own.first == nullptr) return;
  const int numbers = counts.experts() + 1;
  for (int at = static_cast<int>(threadIdx.x); at < numbers * counts.ranks; at += kThreads) {
    std::int32_t* const table = reinterpret_cast<std::int32_t*>(own.tables[at / numbers]);
    table[counts.rank * numbers + at % numbers] = own.first[at % numbers];
  }
  __syncthreads();
  if (threadIdx.x < kWarp && meeting.number != 0) come(meeting);
}

/// A warp: the sum of x on this lane and those before it.
__device__ int sum_up_to_lane(int x) {
  const unsigned lane = threadIdx.x % kWarp;
#pragma unroll
  for (unsigned step = 1; step < kWarp; step *= 2) {
    const int before = __shfl_up_sync(kWholeWarp, x, step);
    if (lane >= step) x += before;
  }
  return x;
}

/// One warp goes through the blocks that rank `to` receives, in their order. Rows that it has no room for.
__device__ long long place_blocks(const Counts& counts, const Begins& begins, int to) {
  const int lane = static_cast<int>(threadIdx.x % kWarp), blocks = counts.experts();
  long long before = 0;
  for (int first = 0; first < blocks; first += static_cast<int>(kWarp)) {
    const int block = first + lane, from = block % counts.ranks,
              expert = to * counts.local + block / counts.ranks;
    const int rows = block < blocks ? counts.rows(from, expert) : 0, end = sum_up_to_lane(rows);
    const auto begin = static_cast<std::int32_t>(before + end - rows);
    if (block < blocks && from == counts.rank) begins.sent[expert] = begin;
    if (block < blocks && to == counts.rank) begins.received[block] = begin;
    before += __shfl_sync(kWholeWarp, end, kWarp - 1);
  }
  if (to == counts.rank && lane == 0) begins.received[blocks] = static_cast<std::int32_t>(before);
  return before > counts.most_received ? before - counts.most_received : 0;
}

/// The whole block: all begins, and the rows without room of all ranks.
__device__ long long place_all_blocks(const Counts& counts, const Begins& begins) {
  __shared__ unsigned long long without_room;
  if (threadIdx.x == 0) without_room = 0;
  __syncthreads();
  for (int to = static_cast<int>(threadIdx.x / kWarp); to < counts.ranks; to += kWarps) {
    const long long rows = place_blocks(counts, begins, to);
    if (rows > 0 && threadIdx.x % kWarp == 0) atomicAdd(&without_room, static_cast<unsigned long long>(rows));
  }
  __syncthreads();
  return static_cast<long long>(without_room);
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

/// Rows between this rank and others; none travel where some rank has no room.
__device__ auto turns_of_sent(const Counts& counts, bool is_lost) {
  return Turns{counts.ranks, [&counts, is_lost](int to) {
                 return is_lost || to == counts.rank ? 0 : counts.rows_to(counts.rank, to);
               }};
}
__device__ auto turns_of_received(const Counts& counts, bool is_lost) {
  return Turns{counts.ranks, [&counts, is_lost](int from) {
                 return is_lost || from == counts.rank ? 0 : counts.rows_to(from, counts.rank);
               }};
}

__device__ void place_sent(const Counts& counts, const Begins& begins, const Places& places, int row,
                           bool is_lost) {
  const int experts = counts.experts();
  if (is_lost || row >= counts.first(counts.rank, experts)) {
    places.to_rank[row] = places.to_row[row] = -1;
    return;
  }
  const int expert = block_of(row, experts, [&](int e) { return counts.first(counts.rank, e); }),
            to = expert / counts.local;
  places.to_rank[row] = to;
  places.to_row[row] = begins.sent[expert] + row - counts.first(counts.rank, expert);
  if (places.sent.ends == nullptr || to == counts.rank) return;
  const int k = row - counts.first(counts.rank, to * counts.local);
  places.sent.put(turns_of_sent(counts, is_lost).of(to, k), row);
}

__device__ void place_received(const Counts& counts, const Begins& begins, const Places& places, int row,
                               bool is_lost) {
  const int blocks = counts.experts();
  if (is_lost || row >= begins.received[blocks]) {
    places.back_rank[row] = places.back_row[row] = places.arrived[row] = -1;
    return;
  }
  const int block = block_of(row, blocks, [&](int b) { return begins.received[b]; });
  const int from = block % counts.ranks, expert = counts.rank * counts.local + block / counts.ranks;
  const int sorted = counts.first(from, expert) + row - begins.received[block];
  places.back_rank[row] = from;
  places.back_row[row] = sorted;
  places.arrived[row] = row;
  if (places.received.ends == nullptr || from == counts.rank) return;
  const int k = sorted - counts.first(from, counts.rank * counts.local);
  places.received.put(turns_of_received(counts, is_lost).of(from, k), row);
}

/// What there is once, by one block.
__device__ void place_offsets(const Counts& counts, const Begins& begins, const Places& places,
                              long long without_room) {
  for (int l = static_cast<int>(threadIdx.x); l <= counts.local; l += kThreads) {
    const int offset = without_room > 0 ? 0 : begins.received[l * counts.ranks];
    places.offsets[l] = offset;
    if (places.kept_offsets != nullptr) places.kept_offsets[l] = offset;
  }
  if (threadIdx.x != 0) return;
  *places.lost = without_room > 0 ? 1 : 0;
  if (places.overflow != nullptr && without_room > 0 && *places.overflow == 0)
    *places.overflow = static_cast<double>(without_room) / counts.ranks;
}

/// `scratch` of begins_count() for each block, where they do not fit near.
__global__ void __launch_bounds__(kThreads)
    place_kernel(Counts counts, OwnRows own, Places places, std::int32_t* scratch, Meeting meeting) {
  __shared__ std::int32_t near[kNear];
  if (blockIdx.x == 0) send_own_rows(counts, own, meeting);
  wait_for_all(meeting);
  let_next_kernel_begin();  // not before: it would hold multiprocessors while this one waits for ranks
  const int experts = counts.experts(), numbers = counts.ranks * (experts + 1);
  std::int32_t* begin = near + numbers;
  if (scratch != nullptr) {
    begin = scratch + blockIdx.x * begins_count(experts);
  } else {
    for (int at = static_cast<int>(threadIdx.x); at < numbers; at += kThreads)
      near[at] = counts.first_rows[at];
    counts.first_rows = near;
  }
  __syncthreads();
  const Begins begins{begin, begin + experts};
  const long long without_room = place_all_blocks(counts, begins);
  if (blockIdx.x == 0) place_offsets(counts, begins, places, without_room);
  const bool is_lost = without_room > 0;
  const int first = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x),
            step = static_cast<int>(gridDim.x) * kThreads;
  for (int row = first; row < places.choices; row += step) place_sent(counts, begins, places, row, is_lost);
  for (int row = first; row < counts.most_received; row += step)
    place_received(counts, begins, places, row, is_lost);
  places.sent.close(turns_of_sent(counts, is_lost), first, step);
  places.received.close(turns_of_received(counts, is_lost), first, step);
}

TurnList turns_of(const Call& call, const RowParts& parts) {
  if (parts.empty()) return {};
  return {call.indices("order", parts.order, kAny), call.indices("ends", parts.ends, kRowParts),
          static_cast<int>(parts.order.count())};
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

OwnRows own_rows_of(const Call& call, const PlaceRows& args) {
  OwnRows own{};
  if (args.own_rows.empty()) return own;
  own.first = call.indices("own_rows", args.own_rows, args.first_rows.extent(1));
  if (std::ssize(args.tables) != args.first_rows.extent(0) || args.tables.size() > kMostMeeting)
    call.fail(std::to_string(args.tables.size()) + " tables of " + std::to_string(args.first_rows.extent(0)) +
              " ranks (at most " + std::to_string(kMostMeeting) + ")");
  std::copy(args.tables.begin(), args.tables.end(), own.tables);
  return own;
}

Places places_of(const Call& call, const PlaceRows& args) {
  const std::int64_t choices = args.to_rank.count(), most = args.back_rank.count(),
                     offsets = args.offsets.count();
  return {call.indices("to_rank", args.to_rank, choices),
          call.indices("to_row", args.to_row, choices),
          call.indices("offsets", args.offsets, offsets),
          args.kept_offsets.empty() ? nullptr : call.indices("kept_offsets", args.kept_offsets, offsets),
          call.indices("back_rank", args.back_rank, most),
          call.indices("back_row", args.back_row, most),
          call.indices("arrived", args.arrived, most),
          call.indices("lost", args.lost, 1),
          args.overflow.empty() ? nullptr : call.scalar_f64("overflow", args.overflow),
          static_cast<int>(choices),
          turns_of(call, args.sent_parts),
          turns_of(call, args.received_parts)};
}

}  // namespace

void CudaOps::place_rows(const PlaceRows& args) {
  const Call call("place_rows");
  const Counts counts = counts_of(call, args);
  const Places places = places_of(call, args);
  const unsigned blocks = blocks_for(std::max(places.choices, counts.most_received), kThreads, kMostBlocks);
  const std::int64_t experts = std::int64_t{counts.ranks} * counts.local;
  std::int32_t* scratch = nullptr;
  if (counts.ranks * (experts + 1) + begins_count(experts) > kNear) {
    const std::size_t count = static_cast<std::size_t>(begins_count(experts)) * blocks;
    Workspace& workspace = context_.workspace();
    workspace.begin(count * sizeof(std::int32_t), 1);
    scratch = workspace.take<std::int32_t>(count);
  }
  place_kernel<<<blocks, kThreads, 0, context_.stream()>>>(counts, own_rows_of(call, args), places, scratch,
                                                           meeting_of(args.meets_at));
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
