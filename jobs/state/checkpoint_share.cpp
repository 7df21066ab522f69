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

std::vector<StateTensor> stored_tensors(const RankState& state, CheckpointContent content) {
  const bool is_whole = content == CheckpointContent::everything;
  return state_tensors(state.parameters, is_whole ? state.slots : std::vector<std::string>{}, state.left_out);
}

/// Every part of the tensors in their order, before ranks that hold the same divide them.
std::vector<io::Piece> held_pieces(const std::vector<StateTensor>& tensors, DType weights) {
  std::vector<io::Piece> held;
  for (const StateTensor& tensor : tensors) {
    const DType dtype = tensor.is_weights() ? weights : DType::f32;
    for (const StatePart& part : parts_of(tensor, tensor.view))
      held.push_back({{part.name, dtype, part.shape}, part.box});
  }
  return held;
}

}  // namespace

std::uint64_t snapshot_bytes(const RankState& state) {
  const auto held = held_pieces(stored_tensors(state, CheckpointContent::everything), DType::f32);
  return io::Snapshot::bytes_of(
      io::bytes_of_shares(held, state.mesh.coordinate(state.replicas), state.mesh.degree(state.replicas)));
}

CheckpointShare::CheckpointShare(RankState state, CheckpointContent content, DType weights)
    : state_(std::move(state)), tensors_(stored_tensors(state_, content)) {
  std::vector<Source> sources;
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    const std::size_t parts = parts_of(tensors_[tensor], tensors_[tensor].view).size();
    for (std::size_t part = 0; part < parts; ++part) sources.push_back({tensor, part, {}});
  }
  const std::vector<io::Piece> held = held_pieces(tensors_, weights);
  for (io::Share& share :
       io::divide(held, state_.mesh.coordinate(state_.replicas), state_.mesh.degree(state_.replicas))) {
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
  const TensorView values = view_of(piece, on_host(state_.device, tensor.view, room_));
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
  Device& device = state_.device;
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
