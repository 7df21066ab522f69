#include "jobs/inspect/checkpoint_tensors.hpp"

#include <algorithm>

#include "jobs/inspect/names.hpp"

namespace caravan::jobs {

CheckpointTensors::CheckpointTensors(io::CheckpointReader reader) : reader_(std::move(reader)) {
  for (const io::TensorRecord& record : reader_.tensors()) {
    TensorEntry entry;
    entry.name = record.name;
    entry.element = io::number_type_of(record.dtype);
    entry.type = name_of(record.dtype);
    for (int axis = 0; axis < record.shape.rank(); ++axis)
      entry.extents.push_back(static_cast<std::uint64_t>(record.shape[axis]));
    entry.bytes = record.bytes();
    tensors_.push_back(std::move(entry));
  }
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return natural_less(a.name, b.name); });
}

void CheckpointTensors::read(const TensorEntry& tensor, const Origin& origin, const Block& to) const {
  reader_.read_block(tensor.name, origin, TensorView(to.data, *io::dtype_of_number(to.element), to.shape));
}

}  // namespace caravan::jobs
