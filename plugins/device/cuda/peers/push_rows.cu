#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/peers/move_rows.cuh"

// Rows to the memory of other GPUs, and from where they land.
namespace caravan::cuda {
namespace {

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads, 1) push_kernel(Push<Word> push, Meeting meeting, Change change) {
  const Crew all(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
  move_part(push, Part{}, all, change);
  come_with_all(meeting, Part{}, static_cast<unsigned>(all.warps));
}

/// They also bring rows that stay on this rank to their places, so they are more than those that take.
constexpr int kPushing = 10;

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads, 1)
    exchange_kernel(Push<Word> push, Push<Word> take, Meeting meeting, Change change, int parts) {
  push_and_read(
      meeting, parts, kPushing,
      [&](const Part& part, const Crew& crew) { move_part(push, part, crew, change); },
      [&](const Part& part, const Crew& crew) { move_part(take, part, crew, AsItIs{}); });
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

int parts_of(std::int64_t rows, std::int64_t row_bytes) {
  constexpr std::int64_t kWorthParts = std::int64_t{4} << 20;
  return rows * row_bytes >= kWorthParts ? kMeetingParts : 1;
}

void CudaOps::push_rows(const PushRows& args) {
  const Call call("push_rows");
  if (args.to_rank.count() == 0 && !args.comes_to) return;
  with_word_and_change(call, args, common_access(args), [&]<class Word, class Change>(Word, Change change) {
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
  const int parts = parts_of(rows, row_bytes);
  const unsigned blocks =
      parts > 1 ? kLinkBlocks : std::max(blocks_of(push, kLinkBlocks), blocks_of(take, kLinkBlocks));
  const int access = std::min(common_access(push), common_access(take));
  with_word_and_change(call, push, access, [&]<class Word, class Change>(Word, Change change) {
    Push<Word> taken = push_of<Word>(call, take);
    taken.sent_as = call.indices("sent_as", args.sent_as, take.to_rank.count());
    exchange_kernel<Word><<<blocks, kThreads, 0, context_.stream()>>>(
        push_of<Word>(call, push), taken, meeting_of(push.comes_to), change, parts);
  });
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
