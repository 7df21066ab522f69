#include "plugins/device/cuda/comm/pair_channels.hpp"

#include <algorithm>

#include "plugins/device/cuda/comm/ring_rounds.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"

namespace caravan::cuda {
namespace {

/// NCCL connects two ranks at their first message, and both hosts wait for each other then: here, where all
/// ranks go through their channels in one order, and not in a step.
void connect(PairChannel& channel, int rank, void* byte) {
  const cudaStream_t stream = channel.queue.stream();
  check_nccl(rank == channel.from ? ncclSend(byte, 1, ncclUint8, 1, channel.pair.get(), stream)
                                  : ncclRecv(byte, 1, ncclUint8, 0, channel.pair.get(), stream),
             "the first message", channel.pair.name(), channel.pair.get());
  CARAVAN_CUDA_CHECK(cudaStreamSynchronize(stream));
}

}  // namespace

std::deque<PairChannel> make_ring_channels(Context& context, const NcclHandle& all, int rank, int ranks) {
  std::deque<PairChannel> channels;
  context.workspace().begin(1, 1);
  void* const byte = context.workspace().take<char>(1);
  for (const auto& round : ring_rounds(ranks)) {
    const auto own = std::find_if(round.begin(), round.end(),
                                  [&](const auto& way) { return way.first == rank || way.second == rank; });
    if (own == round.end()) {
      (void)all.split(NCCL_SPLIT_NOCOLOR, 0);
      continue;
    }
    const auto color = static_cast<int>(own - round.begin());
    channels.emplace_back(own->first, own->second, all.split(color, rank == own->first ? 0 : 1), context);
    connect(channels.back(), rank, byte);
  }
  return channels;
}

}  // namespace caravan::cuda
