#include "tests/jobs/run_results.hpp"

#include <fmt/ranges.h>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "tests/jobs/job_test.hpp"

namespace caravan::test {

std::vector<nlohmann::json> results_of(const std::string& run) {
  auto metrics = read_metrics(run);
  for (auto& step : metrics) {
    for (const char* key :
         {"wall_time_s", "step_s", "data_s", "tokens_per_s", "tflop_per_s", "peak_memory_bytes"})
      step.erase(key);
  }
  return metrics;
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
