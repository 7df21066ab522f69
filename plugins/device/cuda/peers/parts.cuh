#pragma once

#include "plugins/device/cuda/peers/move_rows.cuh"

// Exchanges of much in one kernel: rows are pushed part by part, and each part is read where it landed while
// the next travel.
namespace caravan::cuda {

/// Of a block that pushes. Its last warp tells other ranks of each part, so that no warp that pushes waits
/// for what it wrote to arrive.
inline constexpr int kPushWarps = kWarps - 1;
/// How long all blocks wait for the other ranks to begin.
inline constexpr std::uint64_t kPatienceNs = 200'000;
static_assert(kMeetingParts < 16);  // a barrier of the block for each part, and that of __syncthreads()

/// One warp: it has written what it writes of all parts before `part`.
__device__ inline void have_written_before(int part) {
  __syncwarp();
  asm volatile("bar.arrive %0, %1;" ::"r"(part), "n"(kThreads) : "memory");
}

/// One warp: until all others of the block have written what is before `part`, and this one knows of it.
__device__ inline void wait_for_written_before(int part) {
  __syncwarp();
  asm volatile("bar.sync %0, %1;" ::"r"(part), "n"(kThreads) : "memory");
}

/// A warp goes through its pieces of rows in the order in which they travel: look_up(row, first word) on each
/// lane for a piece of its own, act(piece) by all lanes for one after the other. It calls reach(part) once
/// for each part but the first, and at the end for the one behind the last, when it is done with those
/// before.
template <class LookUp, class Act, class Reach>
__device__ void walk_parts(const Order& order, int words, int piece_words, const Crew& crew,
                           const LookUp& look_up, const Act& act, const Reach& reach) {
  const int pieces = (words + piece_words - 1) / piece_words, lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t items = std::int64_t{order.count()} * pieces, step = std::int64_t{crew.warps} * kLanes;
  int reached = 0;
  for (std::int64_t item = crew.warp; item < items; item += step) {
    const std::int64_t at = item + std::int64_t{lane} * crew.warps;
    const int turn = static_cast<int>(min(at, items - 1) / pieces), part = order.part_of(turn);
    const Piece own = look_up(order.rows[turn], static_cast<int>(at % pieces) * piece_words);
    for (unsigned left = __ballot_sync(kWholeWarp, at < items); left != 0; left &= left - 1) {
      const int from = __ffs(static_cast<int>(left)) - 1, now = __shfl_sync(kWholeWarp, part, from);
      while (reached < now) reach(++reached);
      act(of_lane(own, from));
    }
  }
  while (reached < kMeetingParts) reach(++reached);
}

/// Of a row of so many words: pieces that a warp moves at once, all of about one size, since the same warps
/// may get the last ones of all rows.
__device__ inline int even_piece(int words) {
  const int pieces = (words + kAtOnce - 1) / kAtOnce;
  return (words + pieces * kLanes - 1) / (pieces * kLanes) * kLanes;
}

template <class Word, class Change, class Reach>
__device__ void move_parts(const Push<Word>& push, const Crew& crew, const Change& change,
                           const Reach& reach) {
  const int words = even_piece(push.words);
  walk_parts(
      push.order, push.words, words, crew,
      [&](int row, int first_word) { return piece_of(push, Which::all, row, first_word); },
      [&](const Piece& piece) {
        if (piece.to_rank >= 0) move_piece(push, piece, min(piece.first + words, push.words), change);
      },
      reach);
}

/// One of the `blocks` blocks that push. Nothing that it does waits for another rank.
template <class PushAll>
__device__ void push_parts(const Meeting& meeting, int block, int blocks, const PushAll& push) {
  if (static_cast<int>(threadIdx.x) / kLanes < kPushWarps)
    return push(Crew(block, blocks, kPushWarps), [](int part) { have_written_before(part); });
  for (int part = 0; part < kMeetingParts; ++part) {
    wait_for_written_before(part + 1);
    come_with_all(meeting, static_cast<unsigned>(blocks), part);
  }
}

/// One thread: whether all blocks read, or those alone that push. Who asks first decides for this kernel.
__device__ inline bool decide_who_reads(const Meeting& meeting, bool all) {
  const unsigned long long own = meeting.number * 2 + (all ? 1 : 0), before = acquire(meeting.readers);
  if (before / 2 == meeting.number) return before % 2 != 0;
  const unsigned long long seen =
      atomicCAS(reinterpret_cast<unsigned long long*>(meeting.readers), before, own);
  return (seen == before ? own : seen) % 2 != 0;
}

/// A block: whether those that do not push read. Until all ranks have begun they hold every multiprocessor
/// for a while only: a rank that has not may wait for what needs one here. One that has begun waits for
/// nothing, so its other parts come soon.
__device__ inline bool all_blocks_read(const Meeting& meeting, bool pushes) {
  __shared__ bool all;
  if (meeting.number == 0) return true;
  if (threadIdx.x < kWarp) {
    const bool have_begun = pushes || come_within(meeting, 0, kPatienceNs);
    if (pushes) wait_for_all(meeting, 0);
    if (threadIdx.x == 0) all = decide_who_reads(meeting, have_begun);
  }
  __syncthreads();
  return all;
}

/// A block: until all ranks have come to `part`. One warp asks, since many would be in each other's way.
__device__ inline void wait_as_block(const Meeting& meeting, int part) {
  if (threadIdx.x < kWarp) wait_for_all(meeting, part);
  __syncthreads();
}

/// The first blocks push, and the others do meanwhile what needs no other rank and then read, part by part.
/// Where other ranks are late they leave that to those that push. The kernel is over when all have come.
/// Blocks that run at once, one on a multiprocessor at most.
template <class PushAll, class Meanwhile, class Read>
__device__ void exchange_parts(const Meeting& meeting, const PushAll& push, const Meanwhile& meanwhile,
                               const Read& read) {
  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x),
            links = min(blocks, kLinkBlocks);
  const bool pushes = block < links, is_alone = blocks == links;
  const Crew crew(pushes ? block : block - links, pushes ? links : blocks - links);
  if (pushes) push_parts(meeting, block, links, push);
  if (!pushes || is_alone) meanwhile(crew);
  const bool all = !is_alone && all_blocks_read(meeting, pushes);
  if (all == pushes) return;
  wait_as_block(meeting, 0);
  read(crew, [&](int part) {
    if (part < kMeetingParts) wait_as_block(meeting, part);
  });
}

}  // namespace caravan::cuda
