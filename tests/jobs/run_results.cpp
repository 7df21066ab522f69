#include "tests/jobs/run_results.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/reader.hpp"
#include "tests/jobs/job_test.hpp"

namespace caravan::test {

std::vector<nlohmann::json> results_of(const std::string& run) {
  auto metrics = read_metrics(run);
  for (auto& step : metrics) {
    for (const char* key : {"wall_time_s", "step_s", "data_s", "tokens_per_s", "tflop_per_s",
                            "peak_memory_bytes", "host_peak_memory_bytes", "elapsed_s"})
      step.erase(key);
  }
  return metrics;
}

std::vector<float> values_of(const std::string& checkpoint, const std::string& prefix) {
  const auto reader = io::CheckpointReader::open(checkpoint);
  // Ranks that keep stretches name tensors in another order than one that keeps all.
  std::vector<io::TensorRecord> tensors(reader.tensors().begin(), reader.tensors().end());
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<float> all;
  for (const io::TensorRecord& tensor : tensors) {
    if (!tensor.name.starts_with(prefix)) continue;
    std::vector<float> one(static_cast<std::size_t>(tensor.shape.count()));
    reader.read(tensor.name, TensorView(one.data(), DType::f32, tensor.shape));
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

std::vector<std::string> digests_of(const std::string& run, std::int64_t step) {
  std::vector<std::string> list;
  const io::Manifest manifest = io::read_manifest(run + "/checkpoints/" + io::step_folder(step));
  for (const io::FileRecord& each : manifest.files) {
    for (const io::PieceRecord& piece : each.pieces)
      list.push_back(
          fmt::format("{} {} {}", piece.piece.tensor.name, to_string(piece.piece.box), piece.blocks));
  }
  return list;
}

}  // namespace caravan::test
