#pragma once

#include <string>

#include "caravan/comm.hpp"
#include "caravan/mesh.hpp"

namespace caravan {

/// A rank of a world that is not running: it knows its place, and whatever would need another rank is a
/// CommError, or not done at all. For decisions that every rank comes to alone, made beforehand.
class PaperWorld final : public Communicator {
 public:
  /// ConfigError unless 0 <= rank < size.
  PaperWorld(int rank, int size, PaperExchanges exchanges = PaperExchanges::refused);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return "paper"; }
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
  void barrier() override;
  /// It is not known where the ranks will run.
  std::string why_no_window() const override { return {}; }
  /// Addresses that nothing lies behind.
  std::unique_ptr<PeerWindow> open_window(std::size_t bytes, double timeout_s) override;

 private:
  [[noreturn]] void refuse(const char* what) const;
  /// Leaves every view as it is.
  Ticket exchange(const char* what) const;

  int rank_, size_;
  PaperExchanges exchanges_;
};

}  // namespace caravan
