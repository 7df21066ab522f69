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

/// Parts of tensors that ranks along one axis hold all alike, before they divide them.
struct Held {
  MeshAxis by;
  std::vector<io::Piece> pieces;
  std::vector<std::pair<std::size_t, std::size_t>> origins;  ///< [piece]: tensor, part of it
};

enum class Of { fragments, buffers };

Held held(Of what, const std::vector<StateTensor>& tensors, DType weights) {
  Held held{what == Of::fragments ? MeshAxis::dp_replicate : MeshAxis::rows, {}, {}};
  for (std::size_t index = 0; index < tensors.size(); ++index) {
    const StateTensor& tensor = tensors[index];
    if ((tensor.fragment ? Of::fragments : Of::buffers) != what) continue;
    const std::vector<StatePart> parts = parts_of(tensor, tensor.view);
    for (std::size_t part = 0; part < parts.size(); ++part) {
      if (!parts[part].counts) continue;
      held.pieces.push_back(
          {{parts[part].name, tensor.is_weights() ? weights : DType::f32, parts[part].shape},
           parts[part].box});
      held.origins.emplace_back(index, part);
    }
  }
  return held;
}

/// All that the rank holds.
std::vector<Held> all_held(const std::vector<StateTensor>& tensors, DType weights) {
  return {held(Of::fragments, tensors, weights), held(Of::buffers, tensors, weights)};
}

}  // namespace

std::uint64_t snapshot_bytes(const RankState& state) {
  std::vector<std::uint64_t> bytes;
  for (const Held& held : all_held(stored_tensors(state, CheckpointContent::everything), DType::f32)) {
    const auto more =
        io::bytes_of_shares(held.pieces, state.mesh.coordinate(held.by), state.mesh.degree(held.by));
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  return io::Snapshot::bytes_of(bytes);
}

CheckpointShare::CheckpointShare(RankState state, CheckpointContent content, DType weights)
    : state_(std::move(state)), tensors_(stored_tensors(state_, content)) {
  for (const Held& held : all_held(tensors_, weights)) {
    for (io::Share& share :
         io::divide(held.pieces, state_.mesh.coordinate(held.by), state_.mesh.degree(held.by))) {
      const auto [tensor, part] = held.origins[share.held];
      sources_.push_back({tensor, part, moved(share.piece.box, held.pieces[share.held].box.origin)});
      pieces_.push_back(std::move(share.piece));
    }
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
