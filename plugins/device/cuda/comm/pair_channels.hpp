#pragma once

#include <deque>
#include <utility>

#include "plugins/device/cuda/comm/exchange_queue.hpp"
#include "plugins/device/cuda/comm/nccl_handle.hpp"

namespace caravan::cuda {

/// One way from a rank to a neighbour on the ring of a group, with a communicator and a stream of its own:
/// what waits on one way holds up nothing on another, so that neighbours that send to each other at once
/// never wait in a circle. Messages on a way are received in the order in which they are sent.
struct PairChannel {
  PairChannel(int sender, int receiver, NcclHandle both, Context& context)
      : from(sender), to(receiver), pair(std::move(both)), queue(context, context.make_stream()) {}

  int from, to;  ///< ranks of the group, of which this rank is one
  NcclHandle pair;
  ExchangeQueue queue;
};

/// [collective over the ranks of `all`] The channels of `rank` among `ranks`, both ways to both neighbours.
std::deque<PairChannel> make_ring_channels(Context& context, const NcclHandle& all, int rank, int ranks);

}  // namespace caravan::cuda
