#include <climits>

#include "plugins/device/cuda/decoding/paged_attention.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"

// Attention of neighbouring rows of a sequence, such as a piece of a prompt, on the tensor cores: tiles of 64
// rows of one head by 64 keys, whose pages are fetched while the tile before is multiplied. As in
// FlashAttention-2 (Dao 2023).
namespace caravan::cuda {
namespace {

constexpr int kWarps = kTileRows / 16, kThreads = kWarps * static_cast<int>(kWarp);
constexpr int kKeys = 64;  ///< of a tile
constexpr float kLog2E = 1.4426950408889634f;

/// 2^x, 0 where that is not a normal number.
__device__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 16 bytes to shared memory, zeros where they are not wanted.
__device__ void fetch(bf16* to, const bf16* from, bool is_wanted) {
  const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = is_wanted ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(bytes)
               : "memory");
}
__device__ void end_of_fetch() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kLeft>
__device__ void wait_for_fetch() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

/// Four 8×8 matrices of 16-bit numbers, transposed; each lane gives the address of a row.
__device__ void read_transposed(std::uint32_t (&to)[4], const bf16* row) {
  const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared)
               : "memory");
}

/// Keys or values of a tile. Pieces of 16 bytes lie so that those which are read together are in different
/// banks: eight rows of values, two of keys.
template <int kWidth, int kApart>
struct Tile {
  bf16 at[kKeys * kWidth];
  __device__ bf16* piece(int key, int index) {
    const int moved = kApart == 8 ? index ^ (key & 7) : index ^ ((key & 1) << 2);
    return at + key * kWidth + moved * 8;
  }
};

template <int kWidth>
struct Shared {
  Tile<kWidth, 2> keys[2];
  Tile<kWidth, 8> values[2];
  std::int64_t
      places[2][kKeys];  ///< of head 0 of a tile's keys, counted in heads; −1 of those that are not there
};

/// Rows [first, end) of the step, one slot's, and the keys [first_key, keys_end) that they see.
struct RowRun {
  int first, end, slot;
  std::int32_t first_key;
  std::int64_t keys_end;

  __device__ std::int64_t place(const CachedRows& rows, std::int64_t position) const {
    return position < keys_end ? rows.place(slot, static_cast<std::int32_t>(position)) : -1;
  }
};

/// The rows of this block's tile that are of the slot of row `first`.
__device__ RowRun run_at(const PagedArgs& args, int first, int tile_end) {
  RowRun run{first, first + 1, args.rows.slots[first], 0, 0};
  while (run.end < tile_end && args.rows.slots[run.end] == run.slot) ++run.end;
  const std::int32_t position = args.rows.positions[run.first];
  if (args.chunk > 0) run.first_key = position / args.chunk * args.chunk;
  run.keys_end = args.rows.positions[run.end - 1] + std::int64_t{1};
  return run;
}

/// One warp's sixteen rows of a head.
template <int kWidth>
struct Rows16 {
  static constexpr int kSteps = kWidth / 32, kColumns = kWidth / 8;
  Eight query[kSteps][2];
  float sum[kColumns][4]{};
  float most[2]{-INFINITY, -INFINITY}, total[2]{};
  int row[2];
  std::int32_t position[2];  ///< −1: not of the run

  __device__ Rows16(const PagedArgs& args, const RowRun& run, int tile, int head) {
    const FragmentLane lane;
    const int warp = static_cast<int>(threadIdx.x / kWarp);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      row[half] = tile + warp * 16 + lane.group + half * 8;
      const bool is_of_run = row[half] >= run.first && row[half] < run.end;
      position[half] = is_of_run ? args.rows.positions[row[half]] : -1;
      const bf16* from = static_cast<const bf16*>(args.q) + (is_of_run ? row[half] : run.first) * args.q_row +
                         head * args.q_head;
#pragma unroll
      for (int step = 0; step < kSteps; ++step)
        query[step][half] = eight_at(from + step * 32 + 8 * lane.member);
    }
  }

  /// Scores of the tile's keys, to the power of two.
  __device__ void score(Tile<kWidth, 2>& keys, float scale, float (&scores)[kKeys / 8][4]) const {
    const FragmentLane lane;
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[j][i] = 0;
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        Eight key;
        key.all = *reinterpret_cast<const uint4*>(keys.piece(j * 8 + lane.group, step * 4 + lane.member));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const std::uint32_t a[4] = {query[step][0].pair[2 * half], query[step][1].pair[2 * half],
                                      query[step][0].pair[2 * half + 1], query[step][1].pair[2 * half + 1]};
          multiply_add(scores[j], a, key.pair[2 * half], key.pair[2 * half + 1]);
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[j][i] *= scale;
    }
  }

  /// −∞ for keys behind a row's own, where the tile has any. (A run's first key begins a tile.)
  __device__ void hide_later(std::int64_t first_key, float (&scores)[kKeys / 8][4]) const {
    const std::int32_t last = static_cast<std::int32_t>(min(first_key + kKeys - 1, std::int64_t{INT_MAX}));
    if (__all_sync(kWholeWarp, last <= min(position[0], position[1]))) return;
    const FragmentLane lane;
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (first_key + (j * 8 + 2 * lane.member + i % 2) > position[i / 2]) scores[j][i] = -INFINITY;
      }
    }
  }

  /// Turns scores to weights relative to the largest so far.
  __device__ void weigh(float (&scores)[kKeys / 8][4]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float higher = most[half];
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
        higher = fmaxf(higher, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
      higher = fmaxf(higher, __shfl_xor_sync(kWholeWarp, higher, 1));
      higher = fmaxf(higher, __shfl_xor_sync(kWholeWarp, higher, 2));
      const float base = higher == -INFINITY ? 0.0f : higher, factor = power_of_two(most[half] - base);
      most[half] = higher;
      total[half] *= factor;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) sum[c][2 * half] *= factor, sum[c][2 * half + 1] *= factor;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[j][2 * half + i];
          score = power_of_two(score - base);
          total[half] += score;
        }
      }
    }
  }

  __device__ void add_values(Tile<kWidth, 8>& values, const float (&weights)[kKeys / 8][4]) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      std::uint32_t a[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* of = weights[2 * k + i / 2];
        a[i] = pair_of(from_float<bf16>(of[2 * (i % 2)]), from_float<bf16>(of[2 * (i % 2) + 1]));
      }
#pragma unroll
      for (int c = 0; c < kColumns; c += 2) {
        std::uint32_t b[4];
        read_transposed(b, values.piece(k * 16 + lane % 16, c + lane / 16));
        multiply_add(sum[c], a, b[0], b[1]);
        multiply_add(sum[c + 1], a, b[2], b[3]);
      }
    }
  }

  __device__ void store(const PagedArgs& args, int head) {
    const FragmentLane lane;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float all = total[half];
      all += __shfl_xor_sync(kWholeWarp, all, 1);
      all += __shfl_xor_sync(kWholeWarp, all, 2);
      if (position[half] < 0) continue;
      bf16* const to = static_cast<bf16*>(args.out) + row[half] * args.out_row + head * args.out_head;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        to[c * 8 + 2 * lane.member] = from_float<bf16>(sum[c][2 * half] / all);
        to[c * 8 + 2 * lane.member + 1] = from_float<bf16>(sum[c][2 * half + 1] / all);
      }
    }
  }
};

/// Keys and values at `places` of a key/value head; zeros where there are none.
template <int kWidth>
__device__ void fetch_tile(const PagedArgs& args, const std::int64_t (&places)[kKeys], int head,
                           Tile<kWidth, 2>& keys, Tile<kWidth, 8>& values) {
  constexpr int kPieces = kWidth / 8, kAtOnce = kThreads / kPieces;
  const int piece = static_cast<int>(threadIdx.x) % kPieces;
#pragma unroll
  for (int key = static_cast<int>(threadIdx.x) / kPieces; key < kKeys; key += kAtOnce) {
    const std::int64_t place = places[key], at = (max(place, std::int64_t{0}) + head) * kWidth + piece * 8;
    fetch(keys.piece(key, piece), static_cast<const bf16*>(args.keys) + at, place >= 0);
    fetch(values.piece(key, piece), static_cast<const bf16*>(args.values) + at, place >= 0);
  }
  end_of_fetch();
}

/// While a tile is multiplied the next one is on its way, and the pages of the one after that are looked up.
template <int kWidth>
__device__ void attend(const PagedArgs& args, const RowRun& run, int tile, int head, Shared<kWidth>& shared) {
  const int kv_head = head / args.queries, own = static_cast<int>(threadIdx.x) % kKeys;
  Rows16<kWidth> rows(args, run, tile, head);
  const auto tiles = static_cast<int>((run.keys_end - run.first_key + kKeys - 1) / kKeys);
  const auto place_in = [&](int t) {
    return run.place(args.rows, run.first_key + std::int64_t{t} * kKeys + own);
  };
  shared.places[0][own] = place_in(0), shared.places[1][own] = place_in(1);
  __syncthreads();
  fetch_tile<kWidth>(args, shared.places[0], kv_head, shared.keys[0], shared.values[0]);
  for (int t = 0; t < tiles; ++t) {
    const int now = t % 2, next = 1 - now;
    const std::int64_t place = place_in(t + 2);
    if (t + 1 < tiles)
      fetch_tile<kWidth>(args, shared.places[next], kv_head, shared.keys[next], shared.values[next]);
    else
      end_of_fetch();
    wait_for_fetch<1>();
    __syncthreads();
    float scores[kKeys / 8][4];
    rows.score(shared.keys[now], args.scale * kLog2E, scores);
    rows.hide_later(run.first_key + std::int64_t{t} * kKeys, scores);
    rows.weigh(scores);
    rows.add_values(shared.values[now], scores);
    shared.places[now][own] = place;
    __syncthreads();
  }
  rows.store(args, head);
}

/// Whether some rows of the tile are of one slot, so that they go together. All threads of a block.
__device__ bool has_run(const CachedRows& rows, int tile, int end) {
  const int row = tile + static_cast<int>(threadIdx.x), last = row + kTileRuns - 1;
  return __syncthreads_or(last < end && rows.slots[row] == rows.slots[last] && !rows.is_padding(row)) != 0;
}

/// A tile of rows and a head a block.
template <int kWidth>
__global__ void __launch_bounds__(kThreads) tiles_kernel(PagedArgs args) {
  extern __shared__ __align__(128) std::byte memory[];
  let_next_kernel_begin();
  wait_for_kernel_before();
  auto& shared = *reinterpret_cast<Shared<kWidth>*>(memory);
  const int tile = static_cast<int>(blockIdx.x) * kTileRows, end = min(tile + kTileRows, args.rows.rows);
  if (!has_run(args.rows, tile, end)) return;
  for (int first = tile; first < end;) {
    const RowRun run = run_at(args, first, end);
    if (!args.rows.is_padding(first) && run.end - run.first >= kTileRuns)
      attend<kWidth>(args, run, tile, static_cast<int>(blockIdx.y), shared);
    first = run.end;
  }
}

template <int kWidth>
void launch(const PagedArgs& args, cudaStream_t stream) {
  constexpr auto kBytes = static_cast<int>(sizeof(Shared<kWidth>));
  CARAVAN_CUDA_CHECK(
      cudaFuncSetAttribute(tiles_kernel<kWidth>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const dim3 grid(blocks_for(args.rows.rows, kTileRows), static_cast<unsigned>(args.heads));
  launch_following(tiles_kernel<kWidth>, grid, dim3(kThreads), stream, kBytes, args);
}

}  // namespace

bool serves_tiles(const PagedArgs& args) {
  return args.dtype == DType::bf16 && args.wide && (args.rows.width == 64 || args.rows.width == 128) &&
         args.rows.rows >= kTileRuns;
}

void paged_tiles(const PagedArgs& args, cudaStream_t stream) {
  args.rows.width == 64 ? launch<64>(args, stream) : launch<128>(args, stream);
}

}  // namespace caravan::cuda
