#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "jobs/plot/curve.hpp"
#include "jobs/plot/growing_file.hpp"

namespace caravan::jobs {

/// What a run has recorded so far, in the order of its steps. Of lines for the same step the later one
/// counts.
class RunRecords {
 public:
  /// Whether a run must have recorded something, or may be about to.
  enum class Wait { no, yes };
  /// `path`: a run's folder, or a file such as its metrics.jsonl. IoError when it is none, or cannot be read.
  RunRecords(std::string path, Wait wait);

  /// Reads what came since. True when there was anything.
  bool read_new();

  const std::string& path() const noexcept { return path_; }
  const std::vector<StepValues>& steps() const noexcept { return steps_; }
  /// Whole lines that are no record of a step.
  std::size_t damaged_lines() const noexcept { return damaged_; }
  bool has(Curve curve) const;

 private:
  void add(std::string_view line);
  void put_in_order();

  std::string path_;
  GrowingFile file_;
  std::vector<StepValues> steps_;
  std::size_t damaged_ = 0;
};

}  // namespace caravan::jobs
