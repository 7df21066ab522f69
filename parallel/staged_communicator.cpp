#include "parallel/staged_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "caravan/check.hpp"

namespace caravan::parallel {

TensorView StagedCommunicator::Room::of(const TensorView& tensor) {
  CARAVAN_CHECK(tensor.contiguous(), CommError,
                fmt::format("a tensor {} that is not contiguous (only whole memory travels). Copy it first?",
                            to_string(tensor.shape)));
  if (tensor.bytes() > bytes_) {
    memory_ = std::make_unique_for_overwrite<std::byte[]>(tensor.bytes());
    bytes_ = tensor.bytes();
  }
  return TensorView(memory_.get(), tensor.dtype, tensor.shape);
}

StagedCommunicator::Staged& StagedCommunicator::acquire() {
  const auto idle =
      std::find_if(staged_.begin(), staged_.end(), [](const Staged& staged) { return !staged.busy; });
  last_ = static_cast<std::size_t>(idle - staged_.begin());
  if (idle == staged_.end()) staged_.emplace_back();
  Staged& staged = staged_[last_];
  staged.busy = true;
  staged.to = {};
  ++staged.generation;
  return staged;
}

Ticket StagedCommunicator::ticket_of_last() const {
  return Ticket((static_cast<std::uint64_t>(staged_[last_].generation) << 32) | (last_ + 1));
}

StagedCommunicator::Staged& StagedCommunicator::at(const Ticket& ticket) {
  const std::size_t index = static_cast<std::size_t>(ticket.id() & 0xffffffffu) - 1;
  CARAVAN_CHECK(index < staged_.size() && staged_[index].busy &&
                    staged_[index].generation == static_cast<std::uint32_t>(ticket.id() >> 32),
                CommError,
                fmt::format("ticket {:#x} is not pending on group '{}' (waited twice, or posted on another "
                            "group)",
                            ticket.id(), name()));
  return staged_[index];
}

TensorView StagedCommunicator::down(Room& room, const TensorView& tensor) {
  const TensorView host = room.of(tensor);
  device_.copy_to_host(Lane::compute, host.data, tensor.data, tensor.bytes());
  device_.synchronize();
  return host;
}

Ticket StagedCommunicator::copy(const TensorView& in, const TensorView& out) {
  CARAVAN_EXPECT(in.bytes() == out.bytes());
  if (in.data != out.data) device_.copy(Lane::compute, out.data, in.data, in.bytes());
  return {};
}

std::unique_ptr<Communicator> StagedCommunicator::split(int color, int key, std::string name) {
  return std::make_unique<StagedCommunicator>(host_.split(color, key, std::move(name)), device_);
}

Ticket StagedCommunicator::post_send(TensorView data, int to, int tag) {
  Staged& staged = acquire();
  staged.ticket = host_.post_send(down(staged.sent, data), to, tag);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_recv(TensorView data, int from, int tag) {
  Staged& staged = acquire();
  staged.result = staged.received.of(data);
  staged.to = data;
  staged.ticket = host_.post_recv(staged.result, from, tag);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_all_reduce(TensorView in_out, ReduceOp op) {
  if (size() == 1) return {};
  Staged& staged = acquire();
  staged.result = down(staged.received, in_out);
  staged.to = in_out;
  staged.ticket = host_.post_all_reduce(staged.result, op);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) {
  if (size() == 1) return copy(in, out);
  Staged& staged = acquire();
  staged.result = staged.received.of(out);
  staged.to = out;
  staged.ticket = host_.post_reduce_scatter(down(staged.sent, in), staged.result, op);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_all_gather(TensorView in, TensorView out) {
  if (size() == 1) return copy(in, out);
  Staged& staged = acquire();
  staged.result = staged.received.of(out);
  staged.to = out;
  staged.ticket = host_.post_all_gather(down(staged.sent, in), staged.result);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_broadcast(TensorView in_out, int root) {
  if (size() == 1) return {};
  Staged& staged = acquire();
  const bool gives = rank() == root;
  staged.result = gives ? down(staged.received, in_out) : staged.received.of(in_out);
  if (!gives) staged.to = in_out;
  staged.ticket = host_.post_broadcast(staged.result, root);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_all_to_all(TensorView in, TensorView out) {
  if (size() == 1) return copy(in, out);
  Staged& staged = acquire();
  staged.result = staged.received.of(out);
  staged.to = out;
  staged.ticket = host_.post_all_to_all(down(staged.sent, in), staged.result);
  return ticket_of_last();
}

Ticket StagedCommunicator::post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts,
                                             TensorView out, std::span<const std::int64_t> out_counts) {
  const std::int64_t rows = std::accumulate(out_counts.begin(), out_counts.end(), std::int64_t{0});
  CARAVAN_CHECK(rows >= 0 && rows <= out.extent(0), CommError,
                fmt::format("all_to_all_v on group '{}': {} rows come (there is room for {})", name(), rows,
                            out.extent(0)));
  Staged& staged = acquire();
  staged.to = out.rows(0, rows);  // what lies behind them stays
  staged.result = staged.received.of(staged.to);
  staged.ticket = host_.post_all_to_all_v(down(staged.sent, in), in_counts, staged.result, out_counts);
  return ticket_of_last();
}

void StagedCommunicator::wait(Ticket& ticket) {
  if (!ticket.pending()) return;
  Staged& staged = at(ticket);
  ticket = Ticket();
  host_.wait(staged.ticket);
  if (!staged.to.empty())
    device_.copy_from_host(Lane::compute, staged.to.data, staged.result.data, staged.to.bytes());
  staged.busy = false;
}

bool StagedCommunicator::test(const Ticket& ticket) {
  return !ticket.pending() || host_.test(at(ticket).ticket);
}

std::unique_ptr<Communicator> make_tensor_communicator(Communicator& host, Device& device, Lane lane) {
  if (device.memory() == Memory::host) return nullptr;
  if (auto own = device.make_communicator(host, lane)) return own;
  return std::make_unique<StagedCommunicator>(host, device);
}

}  // namespace caravan::parallel
