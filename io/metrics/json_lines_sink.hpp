#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "caravan/metrics.hpp"
#include "io/metrics/resumed_lines.hpp"

namespace caravan::io {

/// `metrics.jsonl`: one JSON object a step, first keys "step" and "wall_time_s" (when it was written, seconds
/// since 1970 in UTC), then the record's keys in their order; what is not finite is null. Each line is
/// written at once. Texts stand beside it in `samples.jsonl`, an object each: step, wall_time_s, name,
/// prompt, text, tokens, reason.
class JsonLinesSink final : public MetricSink {
 public:
  /// Continues `path` at `first_step`, as ResumedLines does, and `samples.jsonl` where there is one.
  /// IoError when the file cannot be opened or holds something else than such records.
  JsonLinesSink(const std::string& path, std::int64_t first_step);
  void write(const StepRecord& record) override;
  bool takes_texts() const override { return true; }
  void write_text(const TextRecord& record) override;
  /// Moves what the first record would, without one.
  void retire();

 private:
  ResumedLines& samples();

  std::string samples_path_;
  std::int64_t first_step_;
  ResumedLines file_;
  std::optional<ResumedLines> samples_;
  bool is_first_ = true;
  std::string line_;
};

}  // namespace caravan::io
