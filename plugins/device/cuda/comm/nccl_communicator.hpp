#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/comm_check.hpp"
#include "caravan/device.hpp"
#include "plugins/device/cuda/comm/exchange_queue.hpp"
#include "plugins/device/cuda/comm/nccl_handle.hpp"
#include "plugins/device/cuda/comm/pair_channels.hpp"

namespace caravan::cuda {

/// A group of ranks with a GPU each, over NCCL. Exchanges run on the stream of their lane; neither posting
/// nor waiting holds up the host. Tags are not sent: of two ranks, one must receive messages in the order in
/// which the other sends them.
///
/// Messages of the pipeline lane go to the neighbours on the group's ring over channels of their own, to
/// others in the lane's order. On other lanes they go together, in whatever order, at the next wait, test or
/// collective: a wait for one is a wait for all, so none of them may depend on another.
class NcclCommunicator final : public Communicator {
 public:
  /// [collective over the ranks of `bootstrap`] Borrows both.
  NcclCommunicator(Context& context, Communicator& bootstrap, Lane lane);
  /// Owns `bootstrap`.
  NcclCommunicator(Context& context, std::unique_ptr<Communicator> bootstrap, Lane lane);
  /// Logs operations that were posted and never waited.
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return all_.name(); }
  int world_rank(int member) const override { return bootstrap_.world_rank(member); }
  std::unique_ptr<Communicator> split(int color, int key, std::string name) override;

  Ticket post_send(TensorView data, int to, int tag) override;
  Ticket post_recv(TensorView data, int from, int tag) override;
  Ticket post_all_reduce(TensorView in_out, ReduceOp op) override;
  Ticket post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) override;
  Ticket post_all_gather(TensorView in, TensorView out) override;
  Ticket post_broadcast(TensorView in_out, int root) override;
  /// Not in place.
  Ticket post_all_to_all(TensorView in, TensorView out) override;
  Ticket post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts, TensorView out,
                           std::span<const std::int64_t> out_counts) override;
  void wait(Ticket& ticket) override;
  bool test(const Ticket& ticket) override;
  void barrier() override { bootstrap_.barrier(); }
  bool keeps_copies() const override { return false; }
  std::string why_no_window() const override { return why_no_window_; }
  std::unique_ptr<PeerWindow> open_window(std::size_t bytes, double timeout_s) override;

 private:
  enum class Way { send, receive };
  /// A message that waits for others to go with.
  struct Message {
    Way way;
    TensorView data;
    int peer;
  };

  CommCheck checks() const { return {all_.name(), rank_, size_}; }
  void check(ncclResult_t result, const char* what) const;
  template <class Call>
  Ticket post(const char* what, Call&& call);
  static ncclResult_t pass_on(Way way, const TensorView& data, int peer, ncclComm_t comm,
                              cudaStream_t stream);
  Ticket post_message(Way way, const TensorView& data, int peer, const char* what);
  void exchange_blocks(const TensorView& in, std::span<const std::int64_t> in_rows, const TensorView& out,
                       std::span<const std::int64_t> out_rows);
  /// Sends what waits for others to go with.
  void flush();
  /// The mark of messages that go together, which are sent now unless they have been.
  std::uint64_t mark_of_flush(const Ticket& ticket);
  PairChannel* channel(Way way, int peer);
  /// Of what is in the queue so far; queue 0 is the lane's own, the others are those of the channels.
  Ticket ticket_of(std::size_t queue);
  ExchangeQueue& queue(std::size_t index) { return index == 0 ? queue_ : channels_[index - 1].queue; }

  std::unique_ptr<Communicator> owned_;
  Communicator& bootstrap_;
  Context& context_;
  Lane lane_;
  NcclHandle all_;
  int rank_, size_;
  std::string why_no_window_;
  ExchangeQueue queue_;
  std::deque<PairChannel> channels_;
  std::vector<Message> together_;  ///< posted since the last flush
  std::uint64_t flushes_ = 0;
  std::uint64_t flushed_mark_ = 0;  ///< of the last flush
  std::int64_t pending_ = 0;
};

}  // namespace caravan::cuda
