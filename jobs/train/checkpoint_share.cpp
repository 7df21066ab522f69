#include "jobs/train/checkpoint_share.hpp"

#include <algorithm>
#include <iterator>
#include <map>

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
  std::vector<io::TensorRecord> records;
  std::map<std::string, Place> by_name;
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    std::size_t part = 0;
    const DType dtype = tensors_[tensor].is_weights() ? weights : DType::f32;
    visit_parts(tensors_[tensor], TensorView(nullptr, DType::f32, tensors_[tensor].shape),
                [&](const std::string& name, const TensorView& view) {
                  records.push_back({name, dtype, view.shape});
                  by_name[name] = {tensor, part++};
                });
  }
  pieces_ = io::share_of(records, setup.share().data_rank, setup.share().data_ranks);
  for (const io::Piece& piece : pieces_) places_.push_back(by_name.at(piece.tensor.name));
}

TensorView CheckpointShare::view_of(std::size_t piece, const StateTensor& tensor,
                                    const TensorView& whole) const {
  const TensorView part = tensor.parameter ? tensor.parameter->part(whole, places_[piece].part) : whole;
  return block_of(part, pieces_[piece].box);
}

TensorView CheckpointShare::elements(std::size_t piece) {
  const StateTensor& tensor = tensors_[places_[piece].tensor];
  const TensorView values = view_of(piece, tensor, on_host(setup_.device(), tensor.view, room_));
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
    const StateTensor& tensor = tensors_[places_[piece].tensor];
    const TensorView to = snapshot.elements(piece), from = view_of(piece, tensor, tensor.view);
    if (device.memory() == Memory::device && to.dtype == from.dtype)
      copy_from_device(device, from, to);
    else
      io::pack(elements(piece), to.as<std::byte>());
  }
  device.synchronize();
}

}  // namespace caravan::jobs
