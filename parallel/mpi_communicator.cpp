#include "parallel/mpi_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "parallel/mpi_call.hpp"
#include "parallel/pieces.hpp"
#include "parallel/shared_window.hpp"
#include "parallel/world.hpp"

namespace caravan::parallel {
namespace {

/// A group of one rank needs no MPI: `comm` is freed and the single communicator takes its place.
std::unique_ptr<Communicator> wrap(MPI_Comm comm, std::string name, CommLimits limits) {
  int size = 0;
  MPI_Comm_size(comm, &size);
  if (size > 1) return std::make_unique<MpiCommunicator>(comm, std::move(name), limits);
  MPI_Comm_free(&comm);
  return make_single_communicator(std::move(name));
}

std::vector<int> world_ranks_of(MPI_Comm comm) {
  MPI_Group members = MPI_GROUP_NULL, world = MPI_GROUP_NULL;
  MPI_Comm_group(comm, &members);
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  int size = 0;
  MPI_Comm_size(comm, &size);
  std::vector<int> ranks(static_cast<std::size_t>(size)), in_world(ranks.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  MPI_Group_translate_ranks(members, size, ranks.data(), world, in_world.data());
  MPI_Group_free(&members);
  MPI_Group_free(&world);
  return in_world;
}

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm comm, std::string name, CommLimits limits)
    : comm_(comm), name_(std::move(name)), limits_(limits) {
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  MPI_Comm_set_name(comm_, name_.c_str());
  world_ranks_ = world_ranks_of(comm_);
  if (const std::string why = why_not_shared(comm_); !why.empty())
    why_no_window_ = fmt::format("group '{}' has no memory in common ({})", name_, why);
  CARAVAN_EXPECT(limits_.call_bytes >= 8 && limits_.all_reduce_bytes >= 8 &&
                 limits_.all_reduce_bytes <= INT_MAX);
}

MpiCommunicator::~MpiCommunicator() {
  const bool unwinding = std::uncaught_exceptions() > 0;
  if (pool_.pending() > 0 && !unwinding) {
    log_local(LogLevel::error, fmt::format("group '{}' goes away with {} operations never waited: {}", name_,
                                           pool_.pending(), pool_.pending_names()));
    for (PostedRequests& posted : pool_.all()) {
      MPI_Waitall(static_cast<int>(posted.requests.size()), posted.requests.data(), MPI_STATUSES_IGNORE);
    }
  }
  // While an exception unwinds, the job is about to be aborted: the others may never come to a collective
  // free, and messages may still be coming.
  if (!unwinding) MPI_Comm_free(&comm_);
  if (unwinding) std::ranges::for_each(pool_.all(), [](PostedRequests& posted) { posted.sum.abandon(); });
}

void MpiCommunicator::check(int status, const char* call) const {
  check_mpi(status, call, name_);
}

MPI_Request* MpiCommunicator::next_request(PostedRequests& posted) {
  posted.requests.push_back(MPI_REQUEST_NULL);
  return &posted.requests.back();
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key, std::string name) {
  CARAVAN_CHECK(color >= 0, CommError,
                fmt::format("split of group '{}' with color {} (must not be negative)", name_, color));
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split");
  return wrap(part, std::move(name), limits_);
}

Ticket MpiCommunicator::post_send(TensorView data, int to, int tag) {
  checks().contiguous(data, "send");
  checks().peer(to, tag, kMostTag, "send");
  PostedRequests& posted = pool_.acquire("send");
  in_pieces(static_cast<std::int64_t>(data.bytes()), limits_.call_bytes, [&](std::int64_t begin, int bytes) {
    check(MPI_Isend(at_byte(data, begin), bytes, MPI_BYTE, to, tag, comm_, next_request(posted)),
          "MPI_Isend");
  });
  return pool_.ticket_of_last();
}

Ticket MpiCommunicator::post_recv(TensorView data, int from, int tag) {
  checks().contiguous(data, "recv");
  checks().peer(from, tag, kMostTag, "recv");
  PostedRequests& posted = pool_.acquire("recv");
  in_pieces(static_cast<std::int64_t>(data.bytes()), limits_.call_bytes, [&](std::int64_t begin, int bytes) {
    check(MPI_Irecv(at_byte(data, begin), bytes, MPI_BYTE, from, tag, comm_, next_request(posted)),
          "MPI_Irecv");
  });
  return pool_.ticket_of_last();
}

void MpiCommunicator::wait(Ticket& ticket) {
  if (!ticket.pending()) return;
  PostedRequests& posted = pool_.at(ticket, name_);
  int status = MPI_SUCCESS;
  // One at a time: a failed request then gives its own code, not MPI_ERR_IN_STATUS, and waiting on one drives
  // all. After a failure the rest is left alone, because it may never finish.
  for (std::size_t i = 0; i < posted.requests.size() && status == MPI_SUCCESS; ++i) {
    status = MPI_Wait(&posted.requests[i], MPI_STATUS_IGNORE);
  }
  const char* what = posted.what;
  RankSum sum = std::move(posted.sum);
  pool_.release(ticket);
  ticket = Ticket();
  if (status != MPI_SUCCESS) sum.abandon();
  check(status, what);
  sum.finish();
}

bool MpiCommunicator::test(const Ticket& ticket) {
  if (!ticket.pending()) return true;
  PostedRequests& posted = pool_.at(ticket, name_);
  int finished = 0;
  check(MPI_Testall(static_cast<int>(posted.requests.size()), posted.requests.data(), &finished,
                    MPI_STATUSES_IGNORE),
        posted.what);
  return finished != 0;
}

void MpiCommunicator::barrier() {
  check(MPI_Barrier(comm_), "MPI_Barrier");
}

std::unique_ptr<PeerWindow> MpiCommunicator::open_window(std::size_t bytes, double timeout_s) {
  CARAVAN_CHECK(why_no_window_.empty(), CommError, why_no_window_);
  return std::make_unique<SharedWindow>(comm_, *this, bytes, timeout_s);
}

std::unique_ptr<Communicator> make_world_communicator() {
  int size = 0;
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size", "world");
  if (size == 1) return make_single_communicator("world");
  MPI_Comm world = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup", "world");
  return wrap(world, "world", {});
}

}  // namespace caravan::parallel
