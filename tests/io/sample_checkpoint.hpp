#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/checkpoint/writer.hpp"

namespace caravan::test {

/// Where the first piece of a tensor starts in its file.
inline std::uint64_t offset_of(const std::string& checkpoint, const std::string& tensor) {
  const io::Manifest manifest = io::read_manifest(checkpoint);
  for (const io::FileRecord& file : manifest.files) {
    for (const io::PieceRecord& record : file.pieces) {
      if (record.piece.tensor.name == tensor) return record.offset;
    }
  }
  throw Error("no tensor " + tensor);
}

/// Elements of each of its two tensors where writers share it: enough for O_DIRECT, and three writers meet
/// within pages.
inline constexpr std::int64_t kSharedElements = 1 << 16;

/// A small checkpoint whose contents follow from its step.
struct Sample {
  explicit Sample(std::int64_t step_, std::size_t count = 64) : step(step_), weight(count), moment(count) {
    for (std::size_t i = 0; i < count; ++i) {
      weight[i] = static_cast<float>(step) + static_cast<float>(i) * 0.25f;
      moment[i] = -weight[i];
    }
  }

  std::string write(const std::string& folder) {
    const auto count = static_cast<std::int64_t>(weight.size());
    io::CheckpointWriter writer(folder, head(), weight.size() * 8);
    writer.tensor("/model/w.weight", TensorView(weight.data(), DType::f32, {count / 8, 8}));
    writer.tensor("/optimizer/m/w.weight", TensorView(moment.data(), DType::f32, {count / 8, 8}));
    return writer.commit();
  }

  io::CheckpointHead head() const {
    return {.step = step,
            .tokens_seen = step * 1000,
            .job_yaml = "train: {steps: 10}\n",
            .layout = "one rank",
            .creator = "caravan test",
            .values = {{"/state/data_cursor", step * 7}}};
  }

  /// True when `path` holds exactly this.
  bool is_in(const std::string& path) const {
    const auto reader = io::CheckpointReader::open(path);
    Sample read(-1, weight.size());
    const auto count = static_cast<std::int64_t>(weight.size());
    reader.read("/model/w.weight", TensorView(read.weight.data(), DType::f32, {count / 8, 8}));
    reader.read("/optimizer/m/w.weight", TensorView(read.moment.data(), DType::f32, {count / 8, 8}));
    return reader.step() == step && read.weight == weight && read.moment == moment &&
           std::get<std::int64_t>(reader.attribute("/state/data_cursor")) == step * 7;
  }

  std::int64_t step;
  std::vector<float> weight, moment;
};

}  // namespace caravan::test
