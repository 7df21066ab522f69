#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/last_block.cuh"
#include "plugins/device/cuda/kernels/ticket.hpp"
#include "plugins/device/cuda/routing/route_scores.cuh"
#include "plugins/device/cuda/routing/route_sort.cuh"

// The router: one launch scores, chooses and counts, one more sorts where there are more tokens than one
// block has. Nothing is read back, no sum depends on
// timing.
namespace caravan::cuda {
namespace {

constexpr int kChunk = 64, kMostChunks = 1024, kMostWarps = 16;
constexpr std::size_t kSharedBytes = 48 << 10;  // what a block has without asking

/// One chunk's choices are placed by its block; of several the last one to finish adds up the chunks.
__global__ void __launch_bounds__(kMostWarps* static_cast<int>(kWarp))
    choose_kernel(const Router router, const SlotSort sort, Rows<float> weights, unsigned* counter) {
  extern __shared__ unsigned char shared[];
  let_next_kernel_begin();
  wait_for_kernel_before();
  const int warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp, lane = threadIdx.x % kWarp;
  const std::size_t own = RouterScratch::bytes(router.experts, router.groups);
  const RouterScratch scratch(shared + warp * own, router.experts, router.groups);
  auto* counts = reinterpret_cast<int*>(shared + warps * own);
  for (int e = threadIdx.x; e < router.experts; e += blockDim.x) counts[e] = 0;
  __syncthreads();
  const int begin = blockIdx.x * sort.chunk, end = min(begin + sort.chunk, router.tokens);
  for (int token = begin + warp; token < end; token += warps) {
    const TokenRouter one(router, token);
    if (router.noise_std.data) one.add_noise();
    const int chosen = one.choose(scratch);
    const float weight = one.weight(chosen);
    if (lane < router.top_k) {
      *sort.chosen.at(token, lane) = chosen;
      *weights.at(token, lane) = weight;
      atomicAdd(counts + chosen, 1);
    }
  }
  __syncthreads();
  if (sort.chunks == 1) {
    if (warp == 0) place_only_chunk(sort, counts);
    return;
  }
  for (int e = threadIdx.x; e < router.experts; e += blockDim.x) {
    sort.counts[std::int64_t{e} * sort.chunks + blockIdx.x] = counts[e];
  }
  if (is_last_block(counter)) add_before(sort);
}

constexpr int kBackwardWarps = 8;

/// One warp a token.
template <class T>
__global__ void __launch_bounds__(kBackwardWarps* static_cast<int>(kWarp))
    route_backward_kernel(const Router router, Rows<std::int32_t> experts, Rows<float> dweights,
                          Rows<T> dlogits, Rows<T> dnoise) {
  const int token = blockIdx.x * kBackwardWarps + threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  if (token >= router.tokens) return;
  const TokenRouter one(router, token);
  const bool selects = one.selects();
  const int chosen = selects ? *experts.at(token, lane) : 0;
  const double dweight = selects ? *dweights.at(token, lane) : 0, score = one.score(chosen);
  const double total = one.total(score), mean_weight = warp_sum(dweight * score / total);
  const double dscore = router.scale * (router.normalise ? (dweight - mean_weight) / total : dweight);
  const double mean = warp_sum(selects ? dscore * score : 0);
  const bool all = router.score == ScoreFunction::softmax;
  const double normaliser = all ? one.weight_normaliser() : 0;
  double term = dscore * score;
  if (router.score == ScoreFunction::sigmoid) term *= 1 - score;
  if (router.score == ScoreFunction::softmax_selected) term = score * (dscore - mean);

  for (int first = 0; first < router.experts; first += kWarp) {
    const int e = first + lane;
    const bool has = e < router.experts;
    double gradient = all && has ? -exp(one.weight_logit(e) - normaliser) * mean : 0;
    for (int k = 0; k < router.top_k; ++k) {
      const double addend = __shfl_sync(kWholeWarp, term, k);
      if (__shfl_sync(kWholeWarp, chosen, k) == e) gradient += addend;
    }
    if (!has) continue;
    *dlogits.at(token, e) = from_float<T>(static_cast<float>(gradient));
    if (!dnoise.data) continue;
    const double slope = sigmoid(*router.noise_std.at(token, e));
    *dnoise.at(token, e) = from_float<T>(static_cast<float>(gradient * one.draw(e) * slope));
  }
}

Router router_of(const Call& call, const RoutedTokens& args) {
  const Matrix logits = call.matrix("logits", args.logits, DType::f32, kAny, kAny);
  const RouterRule& rule = args.rule;
  if (const std::string problem = problem_with(rule, logits.columns); !problem.empty()) call.fail(problem);
  if (rule.top_k > kMostSelected)
    call.fail("top_k " + std::to_string(rule.top_k) + " (at most " + std::to_string(kMostSelected) + ")");
  const Matrix noise =
      call.optional_matrix("noise_std", args.noise_std, DType::f32, logits.rows, logits.columns);
  return {rule.score,
          static_cast<int>(rule.top_k),
          static_cast<int>(logits.rows),
          static_cast<int>(logits.columns),
          static_cast<int>(rule.groups),
          static_cast<int>(rule.limited_groups),
          rule.normalise,
          rule.bias_in_weight,
          rule.scale,
          Rows<float>(logits),
          Rows<float>(noise),
          args.noise_key,
          args.rows,
          call.optional_floats("bias", args.bias, logits.columns)};
}

/// As many warps a block as shared memory serves.
int choosing_warps(const Call& call, const Router& router) {
  const std::size_t counts = static_cast<std::size_t>(router.experts) * sizeof(int);
  const std::size_t own = RouterScratch::bytes(router.experts, router.groups);
  if (counts + own > kSharedBytes) {
    call.fail(std::to_string(router.experts) + " experts (more than 48 KiB of shared memory serve)");
  }
  return static_cast<int>(std::min<std::size_t>(kMostWarps, (kSharedBytes - counts) / own));
}

SlotSort sort_of(const Call& call, const RouteForward& args, const Router& router) {
  const int chunk = kChunk * static_cast<int>(ceil_div(router.tokens, std::int64_t{kChunk} * kMostChunks));
  return {router.tokens,
          router.experts,
          router.top_k,
          chunk,
          static_cast<int>(ceil_div(router.tokens, chunk)),
          nullptr,
          Rows<std::int32_t>(
              call.matrix("experts", args.routed.experts, DType::i32, router.tokens, router.top_k)),
          Rows<std::int32_t>(call.matrix("row_of", args.row_of, DType::i32, router.tokens, router.top_k)),
          call.indices("offsets", args.offsets, router.experts + 1),
          call.indices("choice_of", args.choice_of, std::int64_t{router.tokens} * router.top_k),
          call.optional_floats("counts", args.counts, router.experts)};
}

}  // namespace

void CudaOps::route_forward(const RouteForward& args) {
  const Call call("route_forward");
  const Router router = router_of(call, args.routed);
  const Matrix weights = call.matrix("weights", args.routed.weights, DType::f32, router.tokens, router.top_k);
  if (router.tokens == 0) call.fail("no tokens (offsets would not be written)");
  SlotSort sort = sort_of(call, args, router);
  const int warps = choosing_warps(call, router);
  const std::size_t counts = static_cast<std::size_t>(router.experts) * sort.chunks;
  Workspace& scratch = context_.workspace();
  scratch.begin(counts * sizeof(std::int32_t), 1);
  sort.counts = scratch.take<std::int32_t>(counts);
  const std::size_t per_expert = static_cast<std::size_t>(router.experts) * sizeof(int);
  const std::size_t shared = warps * RouterScratch::bytes(router.experts, router.groups) + per_expert;
  launch_following(choose_kernel, dim3(static_cast<unsigned>(sort.chunks)),
                   dim3(static_cast<unsigned>(warps) * kWarp), context_.stream(), shared, router, sort,
                   Rows<float>(weights), context_.keep<Ticket>().counter());
  if (sort.chunks == 1) return;
  place_choices<<<sort.chunks, kWarp, per_expert, context_.stream()>>>(sort);
  CARAVAN_CUDA_LAUNCHED();
}

void CudaOps::route_backward(const RouteBackward& args) {
  const Call call("route_backward");
  const Router router = router_of(call, args.routed);
  const DType type = call.compute_type("dlogits", args.dlogits);
  const Matrix experts = call.matrix("experts", args.routed.experts, DType::i32, router.tokens, router.top_k);
  const Matrix dweights = call.matrix("dweights", args.dweights, DType::f32, router.tokens, router.top_k);
  const Matrix dlogits = call.matrix("dlogits", args.dlogits, type, router.tokens, router.experts);
  const Matrix dnoise = call.optional_matrix("dnoise", args.dnoise, type, router.tokens, router.experts);
  if (dnoise && !router.noise_std.data) call.fail("'dnoise' without 'noise_std'");
  if (router.tokens == 0) return;
  with_type(type, [&]<class T>() {
    route_backward_kernel<T>
        <<<blocks_for(router.tokens, kBackwardWarps), kBackwardWarps * kWarp, 0, context_.stream()>>>(
            router, Rows<std::int32_t>(experts), Rows<float>(dweights), Rows<T>(dlogits), Rows<T>(dnoise));
  });
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
