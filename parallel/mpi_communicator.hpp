#pragma once

#include <mpi.h>

#include <climits>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/comm_check.hpp"
#include "parallel/block_types.hpp"
#include "parallel/request_pool.hpp"

namespace caravan::parallel {

/// Where operations are cut into several MPI calls.
struct CommLimits {
  std::int64_t call_bytes = INT_MAX;  ///< most bytes that one MPI call may count, over all ranks
  std::int64_t all_reduce_bytes =
      1 << 20;  ///< piece of an all-reduce; larger ones are slower (parallel/README.md)
};

/// A group of ranks over MPI, host memory. Every post is non-blocking; sums add in an order fixed by the rank
/// count. Errors of MPI are CommError. [host thread of the rank]
class MpiCommunicator final : public Communicator {
 public:
  /// Owns `comm` (of at least two ranks) from here on.
  MpiCommunicator(MPI_Comm comm, std::string name, CommLimits limits = {});
  /// Logs operations that were posted and never waited; completes them unless an exception is unwinding.
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return name_; }
  int world_rank(int member) const override { return world_ranks_[static_cast<std::size_t>(member)]; }
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
  std::string why_no_window() const override { return why_no_window_; }
  std::unique_ptr<PeerWindow> open_window(std::size_t bytes, double timeout_s) override;

 private:
  /// Every rank sends each other what that one adds up: of `in` the block at `stride` bytes times its rank.
  Ticket post_sum(const char* what, TensorView in, TensorView out, ReduceOp op, std::int64_t stride);
  /// Rows for each rank, or from each: `begins` and `counts` are of its first row and of how many.
  struct Rows {
    std::byte* data;
    const std::int64_t *begins, *counts;
    std::byte* at(std::size_t rank, std::int64_t bytes) const { return data + begins[rank] * bytes; }
  };
  void post_rows(PostedRequests& posted, const Rows& out, const Rows& in, std::int64_t bytes);
  std::size_t own() const noexcept { return static_cast<std::size_t>(rank_); }
  MPI_Request* next_request(PostedRequests& posted);
  void check(int status, const char* call) const;
  CommCheck checks() const { return {name_, rank_, size_}; }
  /// Of the messages of sums, and of rows, which may be posted in another order among each other on each
  /// rank; those of callers are below them, because every MPI has tags up to the first only.
  static constexpr int kSumTag = 32767, kRowsTag = kSumTag - 1, kMostTag = kRowsTag - 1;
  template <class Post>
  void in_block_pieces(std::int64_t block_bytes, Post&& post);

  MPI_Comm comm_;
  std::string name_;
  CommLimits limits_;
  int rank_ = 0;
  int size_ = 0;
  std::vector<int> world_ranks_;  ///< of the members
  std::string why_no_window_;
  RequestPool pool_;
  BlockTypes types_;
};

}  // namespace caravan::parallel
