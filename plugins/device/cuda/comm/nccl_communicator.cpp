// NcclCommunicator's life, its messages and its waiting; its collectives are in nccl_collectives.cpp.
#include "plugins/device/cuda/comm/nccl_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "plugins/device/cuda/comm/ipc_window.hpp"
#include "plugins/device/cuda/comm/nccl_group.hpp"

namespace caravan::cuda {
namespace {

constexpr int kLastTag = 32767;  // as far as every other group's go
/// A ticket with this bit is of messages that go together, and the rest counts their flushes.
constexpr std::uint64_t kTogether = std::uint64_t{1} << 63;

}  // namespace

NcclCommunicator::NcclCommunicator(Context& context, Communicator& bootstrap, Lane lane)
    : bootstrap_(bootstrap),
      context_(context),
      lane_(lane),
      all_(bootstrap),
      rank_(bootstrap.rank()),
      size_(bootstrap.size()),
      queue_(context, context.stream(lane)) {
  if (const std::string why = why_not_mapped(context, bootstrap); !why.empty())
    why_no_window_ =
        fmt::format("the GPUs of group '{}' cannot write to each other's memory ({})", name(), why);
  if (lane == Lane::pipeline) channels_ = make_ring_channels(context, all_, rank_, size_);
  context_.watch().add(this, [this] {
    all_.check_posted();
    for (const PairChannel& channel : channels_) channel.pair.check_posted();
  });
}

NcclCommunicator::NcclCommunicator(Context& context, std::unique_ptr<Communicator> bootstrap, Lane lane)
    : NcclCommunicator(context, *bootstrap, lane) {
  owned_ = std::move(bootstrap);
}

NcclCommunicator::~NcclCommunicator() {
  context_.watch().remove(this);
  if (pending_ == 0 || std::uncaught_exceptions() > 0) return;
  log_local(LogLevel::error,
            fmt::format("group '{}' goes away with {} operations never waited", name(), pending_));
}

void NcclCommunicator::check(ncclResult_t result, const char* what) const {
  check_nccl(result, what, all_.name(), all_.get());
}

std::unique_ptr<Communicator> NcclCommunicator::split(int color, int key, std::string name) {
  return std::make_unique<NcclCommunicator>(context_, bootstrap_.split(color, key, std::move(name)), lane_);
}

std::unique_ptr<PeerWindow> NcclCommunicator::open_window(std::size_t bytes, double timeout_s) {
  CARAVAN_CHECK(why_no_window_.empty(), CommError, why_no_window_);
  return std::make_unique<IpcWindow>(context_, bootstrap_, bytes, timeout_s);
}

Ticket NcclCommunicator::ticket_of(std::size_t index) {
  const std::uint64_t mark = queue(index).mark();
  if (mark == 0) return {};
  ++pending_;
  return Ticket(mark * (channels_.size() + 1) + index);
}

Ticket NcclCommunicator::post_send(TensorView data, int to, int tag) {
  checks().peer(to, tag, kLastTag, "send");
  return post_message(Way::send, data, to, "send");
}

Ticket NcclCommunicator::post_recv(TensorView data, int from, int tag) {
  checks().peer(from, tag, kLastTag, "recv");
  return post_message(Way::receive, data, from, "recv");
}

ncclResult_t NcclCommunicator::pass_on(Way way, const TensorView& data, int peer, ncclComm_t comm,
                                       cudaStream_t stream) {
  return way == Way::send ? ncclSend(data.data, data.bytes(), ncclUint8, peer, comm, stream)
                          : ncclRecv(data.data, data.bytes(), ncclUint8, peer, comm, stream);
}

PairChannel* NcclCommunicator::channel(Way way, int peer) {
  const int from = way == Way::send ? rank_ : peer, to = way == Way::send ? peer : rank_;
  const auto found = std::find_if(channels_.begin(), channels_.end(), [&](const PairChannel& channel) {
    return channel.from == from && channel.to == to;
  });
  return found == channels_.end() ? nullptr : &*found;
}

Ticket NcclCommunicator::post_message(Way way, const TensorView& data, int peer, const char* what) {
  checks().contiguous(data, what);
  if (lane_ != Lane::pipeline) {
    together_.push_back({way, data, peer});
    ++pending_;
    return Ticket(kTogether | flushes_);
  }
  PairChannel* channel = this->channel(way, peer);
  const std::size_t index =
      channel == nullptr ? 0 : static_cast<std::size_t>(channel - &channels_.front()) + 1;
  ExchangeQueue& queue = this->queue(index);
  const ncclComm_t comm = channel == nullptr ? all_.get() : channel->pair.get();
  const int other = channel == nullptr ? peer : (way == Way::send ? 1 : 0);
  queue.follow_compute();
  check(pass_on(way, data, other, comm, queue.stream()), what);
  return ticket_of(index);
}

void NcclCommunicator::flush() {
  if (together_.empty()) return;
  queue_.follow_compute();
  const std::vector<Message> together = std::exchange(together_, {});
  NcclGroup group(all_.name());
  for (const Message& message : together) {
    const auto& [way, data, peer] = message;
    check(pass_on(way, data, peer, all_.get(), queue_.stream()), "messages");
  }
  check(group.end(), "messages");
  flushed_mark_ = queue_.mark();
  ++flushes_;
}

/// A later mark serves as well.
std::uint64_t NcclCommunicator::mark_of_flush(const Ticket& ticket) {
  if ((ticket.id() & ~kTogether) == flushes_) flush();
  return flushed_mark_;
}

void NcclCommunicator::wait(Ticket& ticket) {
  if (!ticket.pending()) return;
  const std::size_t queues = channels_.size() + 1;
  if ((ticket.id() & kTogether) != 0) {
    queue_.join_compute(mark_of_flush(ticket));
  } else {
    queue(ticket.id() % queues).join_compute(ticket.id() / queues);
  }
  ticket = Ticket();
  --pending_;
}

bool NcclCommunicator::test(const Ticket& ticket) {
  if (!ticket.pending()) return true;
  if ((ticket.id() & kTogether) != 0) return queue_.has_happened(mark_of_flush(ticket));
  const std::size_t queues = channels_.size() + 1;
  return queue(ticket.id() % queues).has_happened(ticket.id() / queues);
}

}  // namespace caravan::cuda
