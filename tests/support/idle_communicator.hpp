#pragma once

#include "caravan/comm.hpp"
#include "caravan/error.hpp"

namespace caravan::testing {

/// A group that exchanges nothing: what a test needs of one, it overrides.
class IdleCommunicator : public Communicator {
 public:
  IdleCommunicator(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return "idle"; }
  std::unique_ptr<Communicator> split(int, int, std::string) override { none(); }
  Ticket post_send(TensorView, int, int) override { none(); }
  Ticket post_recv(TensorView, int, int) override { none(); }
  Ticket post_all_reduce(TensorView, ReduceOp) override { none(); }
  Ticket post_reduce_scatter(TensorView, TensorView, ReduceOp) override { none(); }
  Ticket post_all_gather(TensorView, TensorView) override { none(); }
  Ticket post_broadcast(TensorView, int) override { none(); }
  Ticket post_all_to_all(TensorView, TensorView) override { none(); }
  Ticket post_all_to_all_v(TensorView, std::span<const std::int64_t>, TensorView,
                           std::span<const std::int64_t>) override {
    none();
  }
  void wait(Ticket&) override { none(); }
  bool test(const Ticket&) override { none(); }
  void barrier() override { none(); }

 private:
  [[noreturn]] static void none() { throw CommError("this group exchanges nothing"); }

  int rank_, size_;
};

}  // namespace caravan::testing
