#include "jobs/state/checkpoint_share.hpp"

#include <algorithm>
#include <iterator>

#include "caravan/bf16.hpp"
#include "core/run/host_values.hpp"
#include "io/files/pack.hpp"

namespace caravan::jobs {
namespace {

void copy_from_device(Device& device, const TensorView& from, const TensorView& to) {
  auto* next = to.as<std::byte>();
  io::for_each_run(from, [&](std::span<const std::byte> run) {
    device.copy_to_host(Lane::compute, next, run.data(), run.size());
    next += run.size();
  });
}

}  // namespace

CheckpointShare::CheckpointShare(TrainSetup& setup, CheckpointContent content, DType weights)
    : setup_(setup),
      tensors_(
          state_tensors(setup.model().parameters(),
                        content == CheckpointContent::weights ? std::vector<std::string>{} : setup.slots(),
                        not_owned(setup.pipeline().shared, setup.mesh().coordinate(MeshAxis::pp)))) {
  std::vector<io::Piece> held;
  std::vector<Source> sources;
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    const DType dtype = tensors_[tensor].is_weights() ? weights : DType::f32;
    for (const StatePart& part : parts_of(tensors_[tensor], tensors_[tensor].view)) {
      sources.push_back(
          {tensor, sources.empty() || sources.back().tensor != tensor ? 0 : sources.back().part + 1, {}});
      held.push_back({{part.name, dtype, part.shape}, part.box});
    }
  }
  for (io::Share& share : io::divide(held, setup.share().data_rank, setup.share().data_ranks)) {
    Source source = sources[share.held];
    source.within = moved(share.piece.box, held[share.held].box.origin);
    sources_.push_back(source);
    pieces_.push_back(std::move(share.piece));
  }
}

TensorView CheckpointShare::view_of(std::size_t piece, const TensorView& whole) const {
  const Source& source = sources_[piece];
  return block_of(parts_of(tensors_[source.tensor], whole)[source.part].view, source.within);
}

TensorView CheckpointShare::elements(std::size_t piece) {
  const StateTensor& tensor = tensors_[sources_[piece].tensor];
  const TensorView values = view_of(piece, on_host(setup_.device(), tensor.view, room_));
  return pieces_[piece].tensor.dtype == DType::bf16 ? round(values) : values;
}

TensorView CheckpointShare::round(const TensorView& values) {
  rounded_.clear();
  io::for_each_packed(values, [&](std::span<const std::byte> run) {
    const auto* first = reinterpret_cast<const float*>(run.data());
    std::transform(first, first + run.size() / sizeof(float), std::back_inserter(rounded_), to_bf16);
  });
  return {rounded_.data(), DType::bf16, values.shape};
}

void CheckpointShare::copy_to(const io::Snapshot& snapshot) {
  Device& device = setup_.device();
  for (std::size_t piece = 0; piece < pieces_.size(); ++piece) {
    const TensorView to = snapshot.elements(piece),
                     from = view_of(piece, tensors_[sources_[piece].tensor].view);
    if (device.memory() == Memory::device && to.dtype == from.dtype)
      copy_from_device(device, from, to);
    else
      io::pack(elements(piece), to.as<std::byte>());
  }
  device.synchronize();
}

}  // namespace caravan::jobs
