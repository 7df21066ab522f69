// MpiCommunicator's collectives; its life, its pairs and its waiting are in mpi_communicator.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "caravan/check.hpp"
#include "parallel/mpi_call.hpp"
#include "parallel/mpi_communicator.hpp"
#include "parallel/pieces.hpp"

namespace caravan::parallel {
namespace {

[[maybe_unused]] bool overlap(const TensorView& a, const TensorView& b) {
  return a.as<std::byte>() < b.as<std::byte>() + b.bytes() &&
         b.as<std::byte>() < a.as<std::byte>() + a.bytes();
}

/// Where each rank's rows begin; returns `to`, [ranks].
const std::int64_t* fill_begins(std::int64_t* to, std::span<const std::int64_t> counts) {
  std::exclusive_scan(counts.begin(), counts.end(), to, std::int64_t{0});
  return to;
}

}  // namespace

Ticket MpiCommunicator::post_all_reduce(TensorView in_out, ReduceOp op) {
  checks().contiguous(in_out, "all_reduce");
  if (in_out.dtype == DType::bf16) return post_sum("all_reduce", in_out, in_out, op, 0);
  const MPI_Datatype type = reduction_type(in_out.dtype);
  const auto element = static_cast<std::int64_t>(size_of(in_out.dtype));
  PostedRequests& posted = pool_.acquire("all_reduce");
  in_pieces(in_out.count(), limits_.all_reduce_bytes / element, [&](std::int64_t begin, int count) {
    check(MPI_Iallreduce(MPI_IN_PLACE, at_byte(in_out, begin * element), count, type, mpi_op(op), comm_,
                         next_request(posted)),
          "MPI_Iallreduce");
  });
  return pool_.ticket_of_last();
}

Ticket MpiCommunicator::post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) {
  checks().blocks(out, in, "reduce_scatter");
  if (in.dtype != DType::bf16) reduction_type(in.dtype);
  return post_sum("reduce_scatter", in, out, op, static_cast<std::int64_t>(out.bytes()));
}

/// Open MPI's own reduce-scatter reduces all blocks on one rank and divides them then: twice the memory on
/// that rank, and it does nothing at the same time as another.
Ticket MpiCommunicator::post_sum(const char* what, TensorView in, TensorView out, ReduceOp op,
                                 std::int64_t stride) {
  const auto block = static_cast<std::int64_t>(out.bytes());
  const TensorView own(at_byte(in, rank_ * stride), in.dtype, out.shape);
  CARAVAN_EXPECT(out.data == own.data || !overlap(in, out));
  PostedRequests& posted = pool_.acquire(what);
  posted.sum = RankSum(own, out, op, rank_, size_);
  for (int step = 1; step < size_; ++step) {  // no rank is sent to by all others at once
    const int to = (rank_ + step) % size_, from = (rank_ + size_ - step) % size_;
    in_pieces(block, limits_.call_bytes, [&](std::int64_t begin, int bytes) {
      check(MPI_Irecv(at_byte(posted.sum.block_of(from), begin), bytes, MPI_BYTE, from, kSumTag, comm_,
                      next_request(posted)),
            "MPI_Irecv");
      check(MPI_Isend(at_byte(in, to * stride + begin), bytes, MPI_BYTE, to, kSumTag, comm_,
                      next_request(posted)),
            "MPI_Isend");
    });
  }
  return pool_.ticket_of_last();
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
  checks().blocks(in, out, "all_gather");
  const auto block_bytes = static_cast<std::int64_t>(in.bytes());
  const bool in_place = at_byte(in, 0) == at_byte(out, rank_ * block_bytes);
  PostedRequests& posted = pool_.acquire("all_gather");
  in_block_pieces(block_bytes, [&](std::int64_t begin, int count, MPI_Datatype type) {
    const void* send = in_place ? MPI_IN_PLACE : static_cast<const void*>(at_byte(in, begin));
    check(MPI_Iallgather(send, count, type, at_byte(out, begin), count, type, comm_, next_request(posted)),
          "MPI_Iallgather");
  });
  return pool_.ticket_of_last();
}

Ticket MpiCommunicator::post_broadcast(TensorView in_out, int root) {
  checks().contiguous(in_out, "broadcast");
  checks().root(root, "broadcast");
  PostedRequests& posted = pool_.acquire("broadcast");
  in_pieces(static_cast<std::int64_t>(in_out.bytes()), limits_.call_bytes,
            [&](std::int64_t begin, int bytes) {
              check(MPI_Ibcast(at_byte(in_out, begin), bytes, MPI_BYTE, root, comm_, next_request(posted)),
                    "MPI_Ibcast");
            });
  return pool_.ticket_of_last();
}

Ticket MpiCommunicator::post_all_to_all(TensorView in, TensorView out) {
  checks().exchanged(in, out, "all_to_all");
  PostedRequests& posted = pool_.acquire("all_to_all");
  in_block_pieces(
      static_cast<std::int64_t>(in.bytes()) / size_, [&](std::int64_t begin, int count, MPI_Datatype type) {
        const void* send = in.data == out.data ? MPI_IN_PLACE : static_cast<const void*>(at_byte(in, begin));
        check(MPI_Ialltoall(send, count, type, at_byte(out, begin), count, type, comm_, next_request(posted)),
              "MPI_Ialltoall");
      });
  return pool_.ticket_of_last();
}

/// Messages, and no MPI_Ialltoallv: Open MPI 4.1's takes no number for an exchange in which a rank has
/// nothing to do, so that the numbers of the ranks part and their later exchanges never meet.
void MpiCommunicator::post_rows(PostedRequests& posted, const Rows& out, const Rows& in, std::int64_t bytes) {
  const MPI_Datatype row = types_.get(bytes, bytes);
  for (int step = 1; step < size_; ++step) {  // no rank is sent to by all others at once
    const int to = (rank_ + step) % size_, from = (rank_ + size_ - step) % size_;
    const auto sent = static_cast<std::size_t>(to), received = static_cast<std::size_t>(from);
    if (in.counts[received] > 0)
      check(MPI_Irecv(in.at(received, bytes), static_cast<int>(in.counts[received]), row, from, kRowsTag,
                      comm_, next_request(posted)),
            "MPI_Irecv");
    if (out.counts[sent] > 0)
      check(MPI_Isend(out.at(sent, bytes), static_cast<int>(out.counts[sent]), row, to, kRowsTag, comm_,
                      next_request(posted)),
            "MPI_Isend");
  }
}

Ticket MpiCommunicator::post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts,
                                          TensorView out, std::span<const std::int64_t> out_counts) {
  checks().rows(in, out, "all_to_all_v");
  const std::int64_t bytes = row_bytes(in);
  // MPI counts in 31 bits.
  checks().counts(in_counts, std::min<std::int64_t>(in.extent(0), INT_MAX), "in_counts", "all_to_all_v");
  checks().counts(out_counts, std::min<std::int64_t>(out.extent(0), INT_MAX), "out_counts", "all_to_all_v");
  CARAVAN_CHECK(
      in_counts[own()] == out_counts[own()], CommError,
      fmt::format("all_to_all_v in group '{}': {} rows for oneself, of which {} are received. As many?",
                  name_, in_counts[own()], out_counts[own()]));
  PostedRequests& posted = pool_.acquire("all_to_all_v");
  posted.begins.resize(2 * in_counts.size());
  const std::int64_t* begins = fill_begins(posted.begins.data(), in_counts);
  const std::int64_t* ends = fill_begins(posted.begins.data() + size_, out_counts);
  if (in_counts[own()] > 0)
    std::memcpy(at_byte(out, ends[own()] * bytes), at_byte(in, begins[own()] * bytes),
                static_cast<std::size_t>(in_counts[own()] * bytes));
  post_rows(posted, {at_byte(in, 0), begins, in_counts.data()}, {at_byte(out, 0), ends, out_counts.data()},
            bytes);
  return pool_.ticket_of_last();
}

}  // namespace caravan::parallel
