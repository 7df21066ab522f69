#include "parallel/mpi_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "parallel/mpi_call.hpp"
#include "parallel/world.hpp"

namespace caravan::parallel {
namespace {

std::byte* at_byte(const TensorView& view, std::int64_t offset) {
  return view.as<std::byte>() + offset;
}

/// Calls visit(begin, count) for consecutive pieces of [0, total), none longer than `most`.
template <class Visit>
void in_pieces(std::int64_t total, std::int64_t most, Visit&& visit) {
  for (std::int64_t begin = 0; begin < total; begin += most)
    visit(begin, static_cast<int>(std::min(most, total - begin)));
}

std::int64_t row_bytes(const TensorView& view) {
  std::int64_t elements = 1;
  for (int axis = 1; axis < view.shape.rank(); ++axis) elements *= view.extent(axis);
  return elements * static_cast<std::int64_t>(size_of(view.dtype));
}

/// Writes the counts and, behind them, where each begins; returns `to`.
const int* fill_counts(int* to, std::span<const std::int64_t> counts) {
  int sum = 0;
  for (std::size_t peer = 0; peer < counts.size(); ++peer) {
    to[peer] = static_cast<int>(counts[peer]);
    to[counts.size() + peer] = sum;
    sum += to[peer];
  }
  return to;
}

/// A group of one rank needs no MPI: `comm` is freed and the single communicator takes its place.
std::unique_ptr<Communicator> wrap(MPI_Comm comm, std::string name, CommLimits limits) {
  int size = 0;
  MPI_Comm_size(comm, &size);
  if (size > 1) return std::make_unique<MpiCommunicator>(comm, std::move(name), limits);
  MPI_Comm_free(&comm);
  return make_single_communicator(std::move(name));
}

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm comm, std::string name, CommLimits limits)
    : comm_(comm), name_(std::move(name)), limits_(limits) {
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  MPI_Comm_set_name(comm_, name_.c_str());
  CARAVAN_EXPECT(limits_.call_bytes >= 8 && limits_.all_reduce_bytes >= 8 &&
                 limits_.all_reduce_bytes <= INT_MAX);
}

MpiCommunicator::~MpiCommunicator() {
  const bool unwinding = std::uncaught_exceptions() > 0;
  if (slots_.pending() > 0 && !unwinding) {
    log_local(LogLevel::error, fmt::format("group '{}' goes away with {} operations never waited: {}", name_,
                                           slots_.pending(), slots_.pending_names()));
    for (RequestSlot& slot : slots_.all()) {
      MPI_Waitall(static_cast<int>(slot.requests.size()), slot.requests.data(), MPI_STATUSES_IGNORE);
    }
  }
  // While an exception unwinds, the job is about to be aborted: the others may never come to a collective
  // free.
  if (!unwinding) MPI_Comm_free(&comm_);
}

void MpiCommunicator::check(int status, const char* call) const {
  check_mpi(status, call, name_);
}

void MpiCommunicator::check_view(const TensorView& view, const char* what) const {
  CARAVAN_CHECK(
      view.contiguous(), CommError,
      fmt::format("{} on group '{}': {} is not contiguous (only whole memory travels). Copy it first?", what,
                  name_, to_string(view.shape)));
}

void MpiCommunicator::check_peer(int peer, int tag, const char* what) const {
  CARAVAN_CHECK(peer >= 0 && peer < size_ && peer != rank_, CommError,
                fmt::format("{} on group '{}': rank {} talks to rank {} (must be another rank below {})",
                            what, name_, rank_, peer, size_));
  CARAVAN_CHECK(
      tag >= 0 && tag <= 32767, CommError,
      fmt::format("{} on group '{}': tag {} (every MPI has tags 0 to 32767 only)", what, name_, tag));
}

void MpiCommunicator::check_blocks(const TensorView& block, const TensorView& blocks,
                                   const char* what) const {
  check_view(block, what);
  check_view(blocks, what);
  CARAVAN_CHECK(block.dtype == blocks.dtype && block.count() * size_ == blocks.count(), CommError,
                fmt::format("{} on group '{}': {} {} against {} {} (needs {} equal blocks of one type)", what,
                            name_, name_of(block.dtype), to_string(block.shape), name_of(blocks.dtype),
                            to_string(blocks.shape), size_));
}

MPI_Request* MpiCommunicator::next_request(RequestSlot& slot) {
  slot.requests.push_back(MPI_REQUEST_NULL);
  return &slot.requests.back();
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key, std::string name) {
  CARAVAN_CHECK(color >= 0, CommError,
                fmt::format("split of group '{}' with color {} (must not be negative)", name_, color));
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split");
  return wrap(part, std::move(name), limits_);
}

Ticket MpiCommunicator::post_send(TensorView data, int to, int tag) {
  check_view(data, "send");
  check_peer(to, tag, "send");
  RequestSlot& slot = slots_.acquire("send");
  in_pieces(static_cast<std::int64_t>(data.bytes()), limits_.call_bytes, [&](std::int64_t begin, int bytes) {
    check(MPI_Isend(at_byte(data, begin), bytes, MPI_BYTE, to, tag, comm_, next_request(slot)), "MPI_Isend");
  });
  return slots_.ticket_of_last();
}

Ticket MpiCommunicator::post_recv(TensorView data, int from, int tag) {
  check_view(data, "recv");
  check_peer(from, tag, "recv");
  RequestSlot& slot = slots_.acquire("recv");
  in_pieces(static_cast<std::int64_t>(data.bytes()), limits_.call_bytes, [&](std::int64_t begin, int bytes) {
    check(MPI_Irecv(at_byte(data, begin), bytes, MPI_BYTE, from, tag, comm_, next_request(slot)),
          "MPI_Irecv");
  });
  return slots_.ticket_of_last();
}

Ticket MpiCommunicator::post_all_reduce(TensorView in_out, ReduceOp op) {
  check_view(in_out, "all_reduce");
  const MPI_Datatype type = reduction_type(in_out.dtype);
  const auto element = static_cast<std::int64_t>(size_of(in_out.dtype));
  RequestSlot& slot = slots_.acquire("all_reduce");
  in_pieces(in_out.count(), limits_.all_reduce_bytes / element, [&](std::int64_t begin, int count) {
    check(MPI_Iallreduce(MPI_IN_PLACE, at_byte(in_out, begin * element), count, type, mpi_op(op), comm_,
                         next_request(slot)),
          "MPI_Iallreduce");
  });
  return slots_.ticket_of_last();
}

Ticket MpiCommunicator::post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) {
  check_blocks(out, in, "reduce_scatter");
  reduction_type(in.dtype);
  RequestSlot& slot = slots_.acquire("reduce_scatter");
  const bool counts_fit = static_cast<std::int64_t>(in.bytes()) <= limits_.call_bytes;
  const bool apart = at_byte(out, 0) >= at_byte(in, static_cast<std::int64_t>(in.bytes())) ||
                     at_byte(out, static_cast<std::int64_t>(out.bytes())) <= at_byte(in, 0);
  if (!counts_fit || !apart) {
    post_reduce_to_owners(slot, in, out, op);
  } else if (out.count() > 0) {
    check(MPI_Ireduce_scatter_block(in.data, out.data, static_cast<int>(out.count()),
                                    reduction_type(in.dtype), mpi_op(op), comm_, next_request(slot)),
          "MPI_Ireduce_scatter_block");
  }
  return slots_.ticket_of_last();
}

/// One reduction to each rank: serves what MPI_Ireduce_scatter_block cannot, counts above 2^31 and a result
/// in place.
void MpiCommunicator::post_reduce_to_owners(RequestSlot& slot, TensorView in, TensorView out, ReduceOp op) {
  const auto element = static_cast<std::int64_t>(size_of(in.dtype));
  for (int owner = 0; owner < size_; ++owner) {
    const std::byte* block = at_byte(in, owner * static_cast<std::int64_t>(out.bytes()));
    in_pieces(out.count(), limits_.call_bytes / element, [&](std::int64_t begin, int count) {
      const std::byte* send = block + begin * element;
      std::byte* receive = at_byte(out, begin * element);
      const bool in_place = owner == rank_ && send == receive;
      check(MPI_Ireduce(in_place ? MPI_IN_PLACE : static_cast<const void*>(send),
                        owner == rank_ ? receive : nullptr, count, reduction_type(in.dtype), mpi_op(op),
                        owner, comm_, next_request(slot)),
            "MPI_Ireduce");
    });
  }
}

/// Calls post(offset, count, type) so that `count` items of `type` at `offset` of every block cover all
/// blocks.
template <class Post>
void MpiCommunicator::in_block_pieces(std::int64_t block_bytes, Post&& post) {
  const std::int64_t most = std::max<std::int64_t>(limits_.call_bytes / size_, 1);
  if (block_bytes <= most) {
    if (block_bytes > 0) post(0, static_cast<int>(block_bytes), MPI_BYTE);
    return;
  }
  in_pieces(block_bytes, most,
            [&](std::int64_t begin, int bytes) { post(begin, 1, types_.get(bytes, block_bytes)); });
}

Ticket MpiCommunicator::post_all_gather(TensorView in, TensorView out) {
  check_blocks(in, out, "all_gather");
  const auto block_bytes = static_cast<std::int64_t>(in.bytes());
  const bool in_place = at_byte(in, 0) == at_byte(out, rank_ * block_bytes);
  RequestSlot& slot = slots_.acquire("all_gather");
  in_block_pieces(block_bytes, [&](std::int64_t begin, int count, MPI_Datatype type) {
    const void* send = in_place ? MPI_IN_PLACE : static_cast<const void*>(at_byte(in, begin));
    check(MPI_Iallgather(send, count, type, at_byte(out, begin), count, type, comm_, next_request(slot)),
          "MPI_Iallgather");
  });
  return slots_.ticket_of_last();
}

Ticket MpiCommunicator::post_broadcast(TensorView in_out, int root) {
  check_view(in_out, "broadcast");
  CARAVAN_CHECK(root >= 0 && root < size_, CommError,
                fmt::format("broadcast on group '{}' from rank {} (must be below {})", name_, root, size_));
  RequestSlot& slot = slots_.acquire("broadcast");
  in_pieces(static_cast<std::int64_t>(in_out.bytes()), limits_.call_bytes,
            [&](std::int64_t begin, int bytes) {
              check(MPI_Ibcast(at_byte(in_out, begin), bytes, MPI_BYTE, root, comm_, next_request(slot)),
                    "MPI_Ibcast");
            });
  return slots_.ticket_of_last();
}

Ticket MpiCommunicator::post_all_to_all(TensorView in, TensorView out) {
  check_view(in, "all_to_all");
  check_view(out, "all_to_all");
  CARAVAN_CHECK(in.bytes() == out.bytes() && in.dtype == out.dtype && in.count() % size_ == 0, CommError,
                fmt::format("all_to_all on group '{}': {} to {} (needs {} equal blocks each way)", name_,
                            to_string(in.shape), to_string(out.shape), size_));
  RequestSlot& slot = slots_.acquire("all_to_all");
  in_block_pieces(
      static_cast<std::int64_t>(in.bytes()) / size_, [&](std::int64_t begin, int count, MPI_Datatype type) {
        const void* send = in.data == out.data ? MPI_IN_PLACE : static_cast<const void*>(at_byte(in, begin));
        check(MPI_Ialltoall(send, count, type, at_byte(out, begin), count, type, comm_, next_request(slot)),
              "MPI_Ialltoall");
      });
  return slots_.ticket_of_last();
}

void MpiCommunicator::check_counts(std::span<const std::int64_t> counts, std::int64_t rows,
                                   const char* what) const {
  CARAVAN_CHECK(static_cast<int>(counts.size()) == size_, CommError,
                fmt::format("all_to_all_v on group '{}': {} {} (needs one a rank, {})", name_, counts.size(),
                            what, size_));
  std::int64_t sum = 0;
  for (std::size_t peer = 0; peer < counts.size(); ++peer) {
    const std::int64_t count = counts[peer], left = std::min<std::int64_t>(rows, INT_MAX) - sum;
    CARAVAN_CHECK(
        count >= 0 && count <= left, CommError,
        fmt::format("all_to_all_v on group '{}': {} of rank {} is {} (must be 0 to {}: the view has {} rows, "
                    "and MPI counts in 31 bits)",
                    name_, what, peer, count, left, rows));
    sum += count;
  }
}

Ticket MpiCommunicator::post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts,
                                          TensorView out, std::span<const std::int64_t> out_counts) {
  check_view(in, "all_to_all_v");
  check_view(out, "all_to_all_v");
  const std::int64_t bytes = row_bytes(in);
  CARAVAN_CHECK(bytes == row_bytes(out) && in.dtype == out.dtype, CommError,
                fmt::format("all_to_all_v on group '{}': rows of {} against rows of {} (must be equal)",
                            name_, to_string(in.shape), to_string(out.shape)));
  check_counts(in_counts, in.extent(0), "in_counts");
  check_counts(out_counts, out.extent(0), "out_counts");
  const MPI_Datatype row = types_.get(bytes, bytes);
  RequestSlot& slot = slots_.acquire("all_to_all_v");
  slot.counts.resize(4 * in_counts.size());
  const int* send = fill_counts(slot.counts.data(), in_counts);
  const int* receive = fill_counts(slot.counts.data() + 2 * in_counts.size(), out_counts);
  check(MPI_Ialltoallv(in.data, send, send + size_, row, out.data, receive, receive + size_, row, comm_,
                       next_request(slot)),
        "MPI_Ialltoallv");
  return slots_.ticket_of_last();
}

void MpiCommunicator::wait(Ticket& ticket) {
  if (!ticket.pending()) return;
  RequestSlot& slot = slots_.at(ticket, name_);
  int status = MPI_SUCCESS;
  // One at a time: a failed request then gives its own code, not MPI_ERR_IN_STATUS, and waiting on one drives
  // all. After a failure the rest is left alone, because it may never finish.
  for (std::size_t i = 0; i < slot.requests.size() && status == MPI_SUCCESS; ++i) {
    status = MPI_Wait(&slot.requests[i], MPI_STATUS_IGNORE);
  }
  const char* what = slot.what;
  slots_.release(ticket);
  ticket = Ticket();
  check(status, what);
}

bool MpiCommunicator::test(const Ticket& ticket) {
  if (!ticket.pending()) return true;
  RequestSlot& slot = slots_.at(ticket, name_);
  int finished = 0;
  check(MPI_Testall(static_cast<int>(slot.requests.size()), slot.requests.data(), &finished,
                    MPI_STATUSES_IGNORE),
        slot.what);
  return finished != 0;
}

void MpiCommunicator::barrier() {
  check(MPI_Barrier(comm_), "MPI_Barrier");
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
