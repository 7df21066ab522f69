#pragma once

#include <cstdint>
#include <string>

#include "caravan/metrics.hpp"
#include "io/metrics/append_file.hpp"

namespace caravan::io {

/// `metrics.jsonl`: one JSON object a step, first key "step", then the record's keys in their order; what is
/// not finite is null. Each line is written at once.
class JsonLinesSink final : public MetricSink {
 public:
  /// Continues `path` at `first_step`: records of that step and later, and a torn last line, are cut off, so
  /// that a resumed run leaves every step once. IoError when the file cannot be opened or holds something
  /// else than such records.
  JsonLinesSink(const std::string& path, std::int64_t first_step);
  void write(const StepRecord& record) override;

 private:
  AppendFile file_;
  std::string line_;
};

}  // namespace caravan::io
