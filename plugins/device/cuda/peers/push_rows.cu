#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/peers/move_rows.cuh"
#include "plugins/device/cuda/peers/parts.cuh"

// Rows to the memory of other GPUs, and from where they land.
namespace caravan::cuda {
namespace {

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads, 1) push_kernel(Push<Word> push, Meeting meeting, Change change) {
  const Crew all(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
  move_rows(push, Which::all, all, change);
  come_with_all(meeting, static_cast<unsigned>(all.warps));
}

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads, 1)
    push_beside_kernel(Push<Word> push, Meeting meeting, Change change) {
  push_beside(
      meeting, [&](const Crew& crew) { move_rows(push, Which::that_leave, crew, change); },
      [&](const Crew& crew) { move_rows(push, Which::that_stay, crew, change); });
}

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads, 1)
    exchange_kernel(Push<Word> push, Push<Word> take, Meeting meeting, Change change) {
  wait_for_kernel_before();
  push_and_read(
      meeting, [&](const Crew& crew) { move_rows(push, Which::that_leave, crew, change); },
      [&](const Crew& crew) { move_rows(push, Which::that_stay, crew, change); },
      [&](const Crew& crew) { move_rows(take, Which::all, crew, AsItIs{}); });
}

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads, 1)
    exchange_parts_kernel(Push<Word> push, Push<Word> take, Meeting meeting, Change change) {
  wait_for_kernel_before();
  exchange_parts(
      meeting, [&](const Crew& crew, const auto& reach) { move_parts(push, crew, change, reach); },
      [&](const Crew& crew) { move_rows(push, Which::that_stay, crew, change); },
      [&](const Crew& crew, const auto& reach) { move_parts(take, crew, AsItIs{}, reach); });
}

}  // namespace

int common_access(const PushRows& args) {
  const auto element = static_cast<std::int64_t>(size_of(args.rows.dtype));
  std::uintptr_t all = reinterpret_cast<std::uintptr_t>(args.rows.data) |
                       static_cast<std::uintptr_t>(args.rows.extent(1) * element) |
                       static_cast<std::uintptr_t>(args.rows.stride(0) * element);
  for (std::byte* region : args.regions) all |= reinterpret_cast<std::uintptr_t>(region);
  for (const int bytes : {16, 4, 2})
    if (all % static_cast<std::uintptr_t>(bytes) == 0) return bytes;
  return 1;
}

unsigned blocks_of(const PushRows& args, int most) {
  constexpr std::int64_t kPieceBytes = std::int64_t{kAtOnce} * 16;
  const std::int64_t row_bytes = args.rows.extent(1) * static_cast<std::int64_t>(size_of(args.rows.dtype));
  return blocks_for(args.to_rank.count() * ceil_div(row_bytes, kPieceBytes), kWarps, most);
}

bool is_little(std::int64_t rows, std::int64_t row_bytes) {
  return rows * row_bytes <= std::int64_t{4} << 20;
}

void CudaOps::push_rows(const PushRows& args) {
  const Call call("push_rows");
  if (args.to_rank.count() == 0 && !args.comes_to) return;
  const std::int64_t row_bytes = args.rows.extent(1) * static_cast<std::int64_t>(size_of(args.rows.dtype));
  const bool is_apart = args.rank >= 0 && !is_little(args.to_rank.count(), row_bytes);
  with_word_and_change(call, args, common_access(args), [&]<class Word, class Change>(Word, Change change) {
    if (is_apart) {
      push_beside_kernel<Word><<<all_blocks(context_), kThreads, 0, context_.stream()>>>(
          push_of<Word>(call, args), meeting_of(args.comes_to), change);
      return;
    }
    const int most = args.regions.size() > 1 ? kLinkBlocks : context_.multiprocessors();
    push_kernel<Word><<<blocks_of(args, most), kThreads, 0, context_.stream()>>>(
        push_of<Word>(call, args), meeting_of(args.comes_to), change);
  });
  CARAVAN_CUDA_LAUNCHED();
}

void CudaOps::exchange_rows(const ExchangeRows& args) {
  const Call call("exchange_rows");
  const PushRows &push = args.push, &take = args.take;
  if (push.rows.dtype != take.rows.dtype || push.rows.extent(1) != take.rows.extent(1))
    call.fail("rows of one kind or width are pushed and those of another taken");
  const std::int64_t row_bytes = push.rows.extent(1) * static_cast<std::int64_t>(size_of(push.rows.dtype)),
                     rows = std::max(push.to_rank.count(), take.to_rank.count());
  const int access = std::min(common_access(push), common_access(take));
  const Meeting meeting = meeting_of(push.comes_to);
  with_word_and_change(call, push, access, [&]<class Word, class Change>(Word, Change change) {
    const Push<Word> pushed = push_of<Word>(call, push), taken = push_of<Word>(call, take);
    const bool at_once = is_little(rows, row_bytes) || push.parts.empty() || take.parts.empty();
    const unsigned blocks =
        at_once ? std::max(blocks_of(push, kLinkBlocks), blocks_of(take, kLinkBlocks)) : all_blocks(context_);
    launch_following(at_once ? exchange_kernel<Word, Change> : exchange_parts_kernel<Word, Change>,
                     dim3(blocks), dim3(kThreads), context_.stream(), 0, pushed, taken, meeting, change);
  });
}

}  // namespace caravan::cuda
