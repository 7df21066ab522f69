#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {

/// A line of metrics.jsonl as a run writes it; `more`: further keys, each with a comma in front.
inline std::string step_line(std::int64_t step, const std::string& loss, const std::string& more = "") {
  return fmt::format("{{\"step\": {}, \"wall_time_s\": {}.5, \"loss\": {}{}}}\n", step, 1800000000 + step,
                     loss, more);
}

/// A run's folder with these lines.
inline std::string recorded_run(const std::string& folder, const std::string& lines) {
  std::filesystem::create_directories(folder);
  spill(folder + "/metrics.jsonl", lines);
  return folder;
}

/// So many steps from a loss of 8 down to 4, the validation loss every tenth.
inline std::string falling_losses(std::int64_t steps) {
  std::string lines;
  for (std::int64_t step = 1; step <= steps; ++step) {
    const double loss = 8 - 4 * static_cast<double>(step) / static_cast<double>(steps);
    lines +=
        step_line(step, fmt::format("{}", loss),
                  fmt::format("{}, \"learning_rate\": 0.001",
                              step % 10 == 0 ? fmt::format(", \"validation_loss\": {}", loss + 0.1) : ""));
  }
  return lines;
}

}  // namespace caravan::test
