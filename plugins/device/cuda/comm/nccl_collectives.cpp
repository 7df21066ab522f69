#include <vector>

#include "caravan/check.hpp"
#include "plugins/device/cuda/comm/nccl_communicator.hpp"
#include "plugins/device/cuda/comm/nccl_group.hpp"
#include "plugins/device/cuda/comm/nccl_types.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"

namespace caravan::cuda {
namespace {

std::size_t elements(const TensorView& view) {
  return static_cast<std::size_t>(view.count());
}

}  // namespace

/// call(communicator, stream) posts; what it sends has been computed before.
template <class Call>
Ticket NcclCommunicator::post(const char* what, Call&& call) {
  flush();  // in the order of posting
  queue_.follow_compute();
  check(call(all_.get(), queue_.stream()), what);
  return ticket_of(0);
}

Ticket NcclCommunicator::post_all_reduce(TensorView in_out, ReduceOp op) {
  checks().contiguous(in_out, "all_reduce");
  return post("all_reduce", [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllReduce(in_out.data, in_out.data, elements(in_out), nccl_type(in_out.dtype), nccl_op(op),
                         comm, stream);
  });
}

Ticket NcclCommunicator::post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) {
  checks().blocks(out, in, "reduce_scatter");
  return post("reduce_scatter", [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclReduceScatter(in.data, out.data, elements(out), nccl_type(in.dtype), nccl_op(op), comm,
                             stream);
  });
}

Ticket NcclCommunicator::post_all_gather(TensorView in, TensorView out) {
  checks().blocks(in, out, "all_gather");
  return post("all_gather", [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllGather(in.data, out.data, elements(in), nccl_type(in.dtype), comm, stream);
  });
}

Ticket NcclCommunicator::post_broadcast(TensorView in_out, int root) {
  checks().contiguous(in_out, "broadcast");
  checks().root(root, "broadcast");
  return post("broadcast", [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclBroadcast(in_out.data, in_out.data, in_out.bytes(), ncclUint8, root, comm, stream);
  });
}

Ticket NcclCommunicator::post_all_to_all(TensorView in, TensorView out) {
  checks().exchanged(in, out, "all_to_all");
  const std::vector<std::int64_t> rows(static_cast<std::size_t>(size_), 1);
  const Shape blocks{size_, in.count() / size_};
  return post_all_to_all_v(in.reshape(blocks), rows, out.reshape(blocks), rows);
}

Ticket NcclCommunicator::post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts,
                                           TensorView out, std::span<const std::int64_t> out_counts) {
  checks().rows(in, out, "all_to_all_v");
  checks().counts(in_counts, in.extent(0), "in_counts", "all_to_all_v");
  checks().counts(out_counts, out.extent(0), "out_counts", "all_to_all_v");
  const auto own = static_cast<std::size_t>(rank_);
  CARAVAN_CHECK(in_counts[own] == out_counts[own], CommError,
                "all_to_all_v: a rank sends itself other rows than it takes (the counts of both must agree)");
  CARAVAN_CHECK(
      in.data != out.data, CommError,
      "all_to_all in place on a GPU (NCCL would read what has been written). Give it room of its own?");
  return post("all_to_all_v", [&](ncclComm_t, cudaStream_t) {
    NcclGroup group(all_.name());
    exchange_blocks(in, in_counts, out, out_counts);
    return group.end();
  });
}

void NcclCommunicator::exchange_blocks(const TensorView& in, std::span<const std::int64_t> in_rows,
                                       const TensorView& out, std::span<const std::int64_t> out_rows) {
  std::int64_t sent = 0, received = 0;
  for (int peer = 0; peer < size_; ++peer) {
    const auto index = static_cast<std::size_t>(peer);
    const TensorView block = in.rows(sent, sent + in_rows[index]);
    const TensorView room = out.rows(received, received + out_rows[index]);
    sent += in_rows[index];
    received += out_rows[index];
    if (peer == rank_) {
      if (block.bytes() > 0)
        CARAVAN_CUDA_CHECK(
            cudaMemcpyAsync(room.data, block.data, block.bytes(), cudaMemcpyDeviceToDevice, queue_.stream()));
      continue;
    }
    if (block.bytes() > 0) check(pass_on(Way::send, block, peer, all_.get(), queue_.stream()), "send");
    if (room.bytes() > 0) check(pass_on(Way::receive, room, peer, all_.get(), queue_.stream()), "recv");
  }
}

}  // namespace caravan::cuda
