#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "parallel/rank_sum.hpp"

namespace caravan::parallel {

/// What one ticket stands for: the MPI requests of an operation, and what is added up when they have
/// finished.
struct PostedRequests {
  std::vector<MPI_Request> requests;
  std::vector<std::int64_t> begins;  ///< all_to_all_v: first rows of both directions
  RankSum sum;                       ///< of a reduce_scatter or of bf16: what is added up when all has come
  const char* what = "";             ///< name of the operation, for messages
  std::uint32_t generation = 0;
  bool busy = false;
};

/// Tickets to requests. What a ticket stood for is reused with its vectors, so posting allocates nothing once
/// the deepest overlap was seen.
class RequestPool {
 public:
  RequestPool() = default;
  RequestPool(const RequestPool&) = delete;  // first generations come from this object's address
  RequestPool& operator=(const RequestPool&) = delete;

  /// One that is free, with no requests. The reference is valid until the next call.
  PostedRequests& acquire(const char* what);
  /// The ticket of the one that `acquire` returned last.
  Ticket ticket_of_last() const;
  /// What is behind a pending ticket; CommError when it was waited already or belongs to another group.
  PostedRequests& at(const Ticket& ticket, const std::string& group);
  /// Gives it back; the ticket is dead from now on.
  void release(const Ticket& ticket);

  std::size_t pending() const;
  /// "all_reduce, send": what was posted and never waited.
  std::string pending_names() const;
  std::vector<PostedRequests>& all() { return pool_; }

 private:
  std::vector<PostedRequests> pool_;
  std::vector<std::size_t> free_;
  std::size_t last_ = 0;
};

}  // namespace caravan::parallel
