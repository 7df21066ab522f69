#pragma once

#include <vector>

#include "io/checkpoint/reader.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// The tensors of a checkpoint of ours.
class CheckpointTensors final : public TensorSource {
 public:
  explicit CheckpointTensors(io::CheckpointReader reader);

  const io::CheckpointReader& reader() const noexcept { return reader_; }
  const std::vector<TensorEntry>& tensors() const override { return tensors_; }
  void read(const TensorEntry& tensor, const Origin& origin, const Block& to) const override;

 private:
  io::CheckpointReader reader_;
  std::vector<TensorEntry> tensors_;
};

}  // namespace caravan::jobs
