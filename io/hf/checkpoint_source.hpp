#pragma once

#include "io/checkpoint/reader.hpp"
#include "io/hf/weight_source.hpp"

namespace caravan::io {

/// The weights of a checkpoint of our own: what stands under /model/.
class CheckpointSource final : public WeightSource {
 public:
  explicit CheckpointSource(const std::string& folder)
      : reader_(CheckpointReader::open(folder, Check::structure)) {}

  std::string description() const override { return "checkpoint " + reader_.folder(); }
  std::vector<std::string> names() const override;
  bool has(const std::string& name) const override { return reader_.has(stored(name)); }
  Shape shape(const std::string& name) const override { return reader_.info(stored(name)).shape; }
  const CheckpointReader& reader() const noexcept { return reader_; }

 private:
  static std::string stored(const std::string& name) { return "/model/" + name; }
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to) const override {
    reader_.read_block(stored(name), origin, to);
  }

  CheckpointReader reader_;
};

}  // namespace caravan::io
