#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/last_block.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/ticket.hpp"
#include "plugins/device/cuda/kernels/warp_rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * static_cast<int>(kWarp);
constexpr int kMostBlocks = 64;  // of a sequence

/// The inputs. coefficient·E²·mean_e(…) is factor·Σ_e(…).
struct Balance {
  Rows<float> logits;
  Rows<std::int32_t> chosen;
  int sequences, length, experts, top_k;
  double factor;
  std::int32_t* counts;  ///< [B, E] choices of a sequence that went to an expert

  __device__ double density(int sequence, int e) const {
    return counts[std::int64_t{sequence} * experts + e] / (static_cast<double>(length) * top_k);
  }
};

/// gridDim.y sequences; integers, so the order does not matter. Shared memory: an integer an expert.
__global__ void __launch_bounds__(kThreads) count_kernel(const Balance balance) {
  extern __shared__ int counts[];
  const int sequence = blockIdx.y, choices = balance.length * balance.top_k;
  for (int e = threadIdx.x; e < balance.experts; e += kThreads) counts[e] = 0;
  __syncthreads();
  for (int choice = blockIdx.x * kThreads + threadIdx.x; choice < choices; choice += gridDim.x * kThreads) {
    const std::int64_t token = std::int64_t{sequence} * balance.length + choice / balance.top_k;
    atomicAdd(counts + *balance.chosen.at(token, choice % balance.top_k), 1);
  }
  __syncthreads();
  std::int32_t* to = balance.counts + std::int64_t{sequence} * balance.experts;
  for (int e = threadIdx.x; e < balance.experts; e += kThreads) {
    if (counts[e] > 0) atomicAdd(to + e, counts[e]);
  }
}

/// Σ_e density[e]·softmax(logits)[e] of a token; one warp.
struct Overlap {
  double normaliser, value;

  __device__ Overlap(const Balance& balance, int sequence, const float* logits) {
    normaliser = warp_log_sum_exp(balance.experts, [&](int e) { return double{logits[e]}; });
    double sum = 0;
    for (int e = threadIdx.x % kWarp; e < balance.experts; e += kWarp) {
      sum += balance.density(sequence, e) * exp(logits[e] - normaliser);
    }
    value = warp_sum(sum);
  }
};

/// Blocks of a sequence share its tokens; the last block adds their parts to the loss.
__global__ void __launch_bounds__(kThreads)
    loss_kernel(const Balance balance, double* parts, double* loss, unsigned* counter) {
  const int sequence = blockIdx.y;
  double sum = 0;
  for (int s = blockIdx.x * kWarps + threadIdx.x / kWarp; s < balance.length; s += gridDim.x * kWarps) {
    sum += Overlap(balance, sequence, balance.logits.at(std::int64_t{sequence} * balance.length + s)).value;
  }
  sum = block_sum(threadIdx.x % kWarp == 0 ? sum : 0.0);
  if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = sum;
  if (!is_last_block(counter)) return;
  double total = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x * gridDim.y; i += kThreads) total += __ldcg(parts + i);
  total = block_sum(total);
  if (threadIdx.x == 0) *loss += balance.factor * total / balance.length;
}

template <class T>
__global__ void __launch_bounds__(kThreads) gradient_kernel(const Balance balance, Rows<T> dlogits) {
  const int sequence = blockIdx.y;
  const double scale = balance.factor / balance.length;
  for (int s = blockIdx.x * kWarps + threadIdx.x / kWarp; s < balance.length; s += gridDim.x * kWarps) {
    const std::int64_t token = std::int64_t{sequence} * balance.length + s;
    const float* logits = balance.logits.at(token);
    const Overlap overlap(balance, sequence, logits);
    for (int e = threadIdx.x % kWarp; e < balance.experts; e += kWarp) {
      const double probability = exp(logits[e] - overlap.normaliser);
      const double gradient = scale * probability * (balance.density(sequence, e) - overlap.value);
      T& to = *dlogits.at(token, e);
      to = from_float<T>(static_cast<float>(to_float(to) + gradient));
    }
  }
}

template <class Args>
Balance balance_of(const Call& call, const Args& args, const Matrix& logits) {
  const Matrix chosen = call.matrix("experts", args.experts, DType::i32, logits.rows, kAny);
  if (args.sequence_length < 1 || logits.rows % args.sequence_length != 0) {
    call.fail("sequence_length " + std::to_string(args.sequence_length) + " of " +
              std::to_string(logits.rows) + " tokens (must divide them)");
  }
  return {Rows<float>(logits),
          Rows<std::int32_t>(chosen),
          static_cast<int>(logits.rows / args.sequence_length),
          static_cast<int>(args.sequence_length),
          static_cast<int>(logits.columns),
          static_cast<int>(chosen.columns),
          double{args.coefficient} * static_cast<double>(logits.columns),
          nullptr};
}

dim3 grid_of(const Balance& balance) {
  return {blocks_for(balance.length, kWarps, kMostBlocks), static_cast<unsigned>(balance.sequences)};
}

std::size_t count_bytes(const Balance& balance) {
  return static_cast<std::size_t>(balance.sequences) * balance.experts * sizeof(std::int32_t);
}

void count(const Balance& balance, cudaStream_t stream) {
  CARAVAN_CUDA_CHECK(cudaMemsetAsync(balance.counts, 0, count_bytes(balance), stream));
  const std::size_t shared = static_cast<std::size_t>(balance.experts) * sizeof(int);
  count_kernel<<<grid_of(balance), kThreads, shared, stream>>>(balance);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace

void CudaOps::balance_loss_forward(const BalanceLossForward& args) {
  const Call call("balance_loss_forward");
  const Matrix logits = call.matrix("logits", args.logits, DType::f32, kAny, kAny);
  Balance balance = balance_of(call, args, logits);
  double* loss = call.scalar_f64("loss", args.loss);
  if (logits.rows == 0) return;
  const dim3 grid = grid_of(balance);
  const std::size_t parts = std::size_t{grid.x} * grid.y;
  Workspace& scratch = context_.workspace();
  scratch.begin(count_bytes(balance) + parts * sizeof(double), 2);
  balance.counts = scratch.take<std::int32_t>(count_bytes(balance) / sizeof(std::int32_t));
  double* sums = scratch.take<double>(parts);
  count(balance, context_.stream());
  loss_kernel<<<grid, kThreads, 0, context_.stream()>>>(balance, sums, loss,
                                                        context_.keep<Ticket>().counter());
  CARAVAN_CUDA_LAUNCHED();
}

void CudaOps::balance_loss_backward(const BalanceLossBackward& args) {
  const Call call("balance_loss_backward");
  const Matrix logits = call.matrix("logits", args.logits, DType::f32, kAny, kAny);
  Balance balance = balance_of(call, args, logits);
  const DType type = call.compute_type("dlogits", args.dlogits);
  const Matrix dlogits = call.matrix("dlogits", args.dlogits, type, logits.rows, logits.columns);
  if (logits.rows == 0) return;
  Workspace& scratch = context_.workspace();
  scratch.begin(count_bytes(balance), 1);
  balance.counts = scratch.take<std::int32_t>(count_bytes(balance) / sizeof(std::int32_t));
  count(balance, context_.stream());
  with_type(type, [&]<class T>() {
    gradient_kernel<T><<<grid_of(balance), kThreads, 0, context_.stream()>>>(balance, Rows<T>(dlogits));
  });
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
