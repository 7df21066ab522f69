#pragma once

#include <cstdint>
#include <string>

#include "caravan/metrics.hpp"
#include "io/metrics/append_file.hpp"

namespace caravan::io {

/// `metrics.jsonl`: one JSON object a step, first keys "step" and "wall_time_s" (when it was written, seconds
/// since 1970 in UTC), then the record's keys in their order; what is not finite is null. Each line is
/// written at once.
class JsonLinesSink final : public MetricSink {
 public:
  /// Continues `path` at `first_step`, so that every step stands in it once. Records of that step and later
  /// are moved to `metrics.former.jsonl` when the first record comes: a start that comes to no step changes
  /// nothing, and nothing is thrown away but a torn last line. IoError when the file cannot be opened or
  /// holds something else than such records.
  JsonLinesSink(const std::string& path, std::int64_t first_step);
  void write(const StepRecord& record) override;

 private:
  /// True when no former record is in the way any more.
  bool move_former();

  std::string path_;
  std::uint64_t kept_bytes_;
  AppendFile file_;
  bool moved_ = false, warned_ = false;
  std::string line_;
};

}  // namespace caravan::io
