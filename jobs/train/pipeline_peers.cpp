#include "jobs/train/pipeline_peers.hpp"

#include <exception>

#include "core/run/host_values.hpp"

namespace caravan::jobs {
namespace {

constexpr int kTag = 3;

}  // namespace

PipelinePeers::PipelinePeers(TrainSetup& setup) : setup_(setup), group_(setup.pipeline_ranks().host) {
  for (int rank = 1; is_first() && rank < group_.size(); ++rank)
    others_.push_back(setup.stages_of_rank(rank));
}

ParameterStore& PipelinePeers::store(int rank) {
  return rank == group_.rank() ? setup_.model().parameters()
                               : others_[static_cast<std::size_t>(rank - 1)]->parameters();
}

void PipelinePeers::send(const TensorView& view) {
  Ticket ticket = group_.post_send(view, 0, kTag);
  group_.wait(ticket);
}

TensorView PipelinePeers::receive(int rank, const Shape& shape) {
  buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(shape.count())));
  const TensorView view(buffer_.data(), DType::f32, shape);
  Ticket ticket = group_.post_recv(view, rank, kTag);
  group_.wait(ticket);
  return view;
}

void PipelinePeers::visit_state(const PartVisitor& visit) {
  std::exception_ptr failure;
  const auto show = [&](const StateTensor& tensor, const TensorView& view) {
    if (failure) return;
    try {
      visit_parts(tensor, view, visit);
    } catch (...) {
      failure = std::current_exception();
    }
  };
  for (int rank = 0; rank < group_.size(); ++rank) {
    if (!is_first() && rank != group_.rank()) continue;
    const auto left_out = not_owned(setup_.pipeline().shared, rank);
    for (const StateTensor& tensor : state_tensors(store(rank), setup_.slots(), left_out)) {
      if (!is_first())
        send(on_host(setup_.device(), tensor.view, room_));
      else
        show(tensor, rank == 0 ? on_host(setup_.device(), tensor.view, room_) : receive(rank, tensor.shape));
    }
  }
  if (failure) std::rethrow_exception(failure);
}

std::vector<float> PipelinePeers::fetch(int rank, const TensorView& mine, std::int64_t count) {
  if (!is_first()) {
    if (rank == group_.rank()) send(mine);
    return {};
  }
  const TensorView view = rank == 0 ? mine : receive(rank, {count});
  const auto* values = static_cast<const float*>(view.data);
  return {values, values + count};
}

}  // namespace caravan::jobs
