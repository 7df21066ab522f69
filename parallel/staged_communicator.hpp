#pragma once

#include <memory>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"

namespace caravan::parallel {

/// Moves tensors in a device's own memory through host memory: down, between the ranks, up. Posting waits for
/// the device; the way up is queued on the compute lane when the operation is waited for. Correct everywhere
/// and slow: a device's own communicator takes its place where there is one.
class StagedCommunicator final : public Communicator {
 public:
  /// Borrows both. `host` moves host memory.
  StagedCommunicator(Communicator& host, Device& device) : host_(host), device_(device) {}
  /// Owns `host`.
  StagedCommunicator(std::unique_ptr<Communicator> host, Device& device)
      : owned_(std::move(host)), host_(*owned_), device_(device) {}

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  std::string name() const override { return host_.name(); }
  int world_rank(int member) const override { return host_.world_rank(member); }
  std::unique_ptr<Communicator> split(int color, int key, std::string name) override;

  Ticket post_send(TensorView data, int to, int tag) override;
  Ticket post_recv(TensorView data, int from, int tag) override;
  Ticket post_all_reduce(TensorView in_out, ReduceOp op) override;
  Ticket post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) override;
  Ticket post_all_gather(TensorView in, TensorView out) override;
  Ticket post_broadcast(TensorView in_out, int root) override;
  Ticket post_all_to_all(TensorView in, TensorView out) override;
  Ticket post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts, TensorView out,
                           std::span<const std::int64_t> out_counts) override;
  void wait(Ticket& ticket) override;
  bool test(const Ticket& ticket) override;
  void barrier() override { host_.barrier(); }

 private:
  /// Host memory that only grows.
  class Room {
   public:
    TensorView of(const TensorView& tensor);

   private:
    std::unique_ptr<std::byte[]> memory_;
    std::size_t bytes_ = 0;
  };
  /// An operation under way.
  struct Staged {
    Room sent, received;
    Ticket ticket;      ///< of the host's communicator
    TensorView result;  ///< in host memory
    TensorView to;      ///< where the result goes on the device; empty: nowhere
    std::uint32_t generation = 0;
    bool busy = false;
  };
  Staged& acquire();
  Staged& at(const Ticket& ticket);
  TensorView down(Room& room, const TensorView& tensor);
  Ticket copy(const TensorView& in, const TensorView& out);
  Ticket ticket_of_last() const;

  std::unique_ptr<Communicator> owned_;
  Communicator& host_;
  Device& device_;
  std::vector<Staged> staged_;
  std::size_t last_ = 0;
};

/// [collective over the ranks of `host`] What moves tensors in the memory of `device` between them, in the
/// order of `lane`: the device's own communicator, or one through the host. Null where `host` does it itself.
std::unique_ptr<Communicator> make_tensor_communicator(Communicator& host, Device& device, Lane lane);

}  // namespace caravan::parallel
