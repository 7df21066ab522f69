#include "jobs/train/pipeline_peers.hpp"
#include "core/run/message_tags.hpp"

#include <algorithm>

namespace caravan::jobs {
namespace {}  // namespace

PipelinePeers::PipelinePeers(TrainSetup& setup) : setup_(setup), group_(setup.pipeline_ranks().host) {
  for (int rank = 1; is_first() && rank < group_.size(); ++rank)
    others_.push_back(setup.stages_of_rank(rank));
}

ParameterStore& PipelinePeers::store(int rank) {
  return rank == group_.rank() ? setup_.model().parameters()
                               : others_[static_cast<std::size_t>(rank - 1)]->parameters();
}

void PipelinePeers::send(const TensorView& view) {
  Ticket ticket = group_.post_send(view, 0, kPipelineReportTag);
  group_.wait(ticket);
}

TensorView PipelinePeers::receive(int rank, const Shape& shape) {
  buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(shape.count())));
  const TensorView view(buffer_.data(), DType::f32, shape);
  Ticket ticket = group_.post_recv(view, rank, kPipelineReportTag);
  group_.wait(ticket);
  return view;
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
