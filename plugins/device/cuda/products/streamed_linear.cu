#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/products/few_rows.hpp"
#include "plugins/device/cuda/products/streamed_rows.cuh"

// y = x·wᵀ of few rows with one matrix. Each block has an equal share of the rows of weights.
namespace caravan::cuda {
namespace {

using namespace streamed;

template <class Y>
struct Args {
  Rows<bf16> x;
  Rows<Y> y, addend;
  const bf16* w;
  std::int64_t stride;
  int rows, columns, depth;
};

/// Two tiles of tokens or less leave room for the next kernel's block.
template <int kTokens>
inline constexpr int kBlocks = kTokens <= 2 ? 2 : 1;

template <int kTokens>
struct Shared {
  static constexpr int kAhead = chunks_beside(2 * sizeof(Parts<kTokens>), kBlocks<kTokens>);
  typename Stream<kAhead>::Memory stream;
  Parts<kTokens> parts[2];
};

/// Where a block stands: a chunk of a tile.
struct Step {
  int tile = 0, chunk = 0;
};

/// The rows of weights of a block, tile by tile, each in chunks.
struct Share {
  int first, end, depth, chunks, tiles;

  __device__ Share(int columns, int depth_)
      : first(share_begin(columns, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x))),
        end(share_begin(columns, static_cast<int>(blockIdx.x) + 1, static_cast<int>(gridDim.x))),
        depth(depth_),
        chunks(chunks_of(depth)),
        tiles((end - first + kTileRows - 1) / kTileRows) {}
  __device__ Asked asked(const Step& step) const {
    if (step.tile >= tiles) return {};
    return {step.chunk * kChunk, min(kChunk, depth - step.chunk * kChunk)};
  }
  __device__ void next(Step& step) const {
    if (++step.chunk < chunks) return;
    step.chunk = 0, ++step.tile;
  }
  __device__ int row(const Step& step, int r) const { return first + step.tile * kTileRows + r; }
  __device__ bool ends_tile(const Step& step) const { return step.chunk == chunks - 1; }
};

template <class Y, int kTokens>
__device__ void store_tile(const Args<Y>& args, const Share& share, const Step& step,
                           const Parts<kTokens>& parts) {
  for (int at = static_cast<int>(threadIdx.x); at < Parts<kTokens>::kCount; at += kThreads) {
    const Place place(at);
    const int column = share.row(step, place.row);
    if (place.token >= args.rows || column >= share.end) continue;
    float sum = parts.sum(at);
    if (args.addend.data) sum += to_float(*args.addend.at(place.token, column));
    *args.y.at(place.token, column) = from_float<Y>(sum);
  }
}

template <class Y, int kTokens>
__device__ void read_tokens(const Args<Y>& args, const Asked& asked, Eight (&tokens)[kTokens]) {
#pragma unroll
  for (int j = 0; j < kTokens; ++j) {
    const int token = j * kTileTokens + Lane().group;
    tokens[j] = token_piece(token < args.rows ? args.x.at(token) : nullptr, asked);
  }
}

template <class Y, int kTokens>
__global__ void __launch_bounds__(kThreads, kBlocks<kTokens>) linear_kernel(Args<Y> args) {
  extern __shared__ __align__(128) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kTokens>*>(memory);
  constexpr int kAhead = Shared<kTokens>::kAhead;
  let_next_kernel_begin();
  Stream<kAhead> stream(shared.stream);
  const Share share(args.columns, args.depth);
  Step asking, reading, now;
  const auto ask = [&] {
    if (threadIdx.x >= kWarp) return;
    stream.ask(share.asked(asking), [&](int r) {
      const int row = share.row(asking, r);
      return row < share.end ? args.w + row * args.stride : nullptr;
    });
    share.next(asking);
  };
  for (int i = 0; i < kAhead; ++i) ask();
  wait_for_kernel_before();

  Eight tokens[kTokens], after[kTokens];
  float sums[kTokens][4]{};
  read_tokens(args, share.asked(reading), tokens);
  for (; now.tile < share.tiles; now = reading) {
    share.next(reading);
    read_tokens(args, share.asked(reading), after);
    const WeightPiece weights(stream.next(), share.asked(now));
    const bool ends_tile = share.ends_tile(now);
    Parts<kTokens>& parts = shared.parts[now.tile % 2];
#pragma unroll
    for (int j = 0; j < kTokens; ++j) {
      weights.multiply(tokens[j], sums[j]);
      tokens[j] = after[j];
      if (!ends_tile) continue;
      parts.put(j, sums[j]);
      for (float& sum : sums[j]) sum = 0;
    }
    __syncthreads();
    ask();
    if (ends_tile) store_tile<Y, kTokens>(args, share, now, parts);
  }
}

template <class Y, int kTokens>
void launch(const Context& context, const FewRowsProduct& p) {
  const auto kernel = linear_kernel<Y, kTokens>;
  constexpr std::size_t kBytes = sizeof(Shared<kTokens>);
  CARAVAN_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)));
  launch_following(kernel, dim3(resident_blocks(context, p.w.rows, kTileRows, 1)), dim3(kThreads),
                   context.stream(), kBytes,
                   Args<Y>{Rows<bf16>(p.x), Rows<Y>(p.y), Rows<Y>(p.addend),
                           static_cast<const bf16*>(p.w.data), p.w.row_stride, static_cast<int>(p.x.rows),
                           static_cast<int>(p.w.rows), static_cast<int>(p.x.columns)});
}

}  // namespace

void streamed_linear(const Context& context, const FewRowsProduct& p) {
  with_type(p.y.dtype, [&]<class Y>() {
    if (p.x.rows <= kTileTokens) return launch<Y, 1>(context, p);
    if (p.x.rows <= 2 * kTileTokens) return launch<Y, 2>(context, p);
    launch<Y, 4>(context, p);
  });
}

}  // namespace caravan::cuda
