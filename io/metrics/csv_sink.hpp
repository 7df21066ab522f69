#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/metrics.hpp"
#include "io/metrics/resumed_lines.hpp"

namespace caravan::io {

/// `metrics.csv`: a head of names, then a line a step: step, wall_time_s, and a column for each key that a
/// record had so far. A key that comes later adds a column at the right, for which the file is written anew;
/// what a step lacks is empty, and what is not finite is nan or inf. Columns stay from start to start. Source
/// of the form: RFC 4180, with \n for line breaks; keys and numbers need no quotes.
class CsvSink final : public MetricSink {
 public:
  /// Continues `path` at `first_step`, as ResumedLines does. IoError when the file cannot be opened or holds
  /// something else.
  CsvSink(const std::string& path, std::int64_t first_step);
  void write(const StepRecord& record) override;
  /// Moves what the first record would, without one.
  void retire() { file_.retire(); }

 private:
  /// False where there was no room for the columns that the record adds.
  bool widen(const StepRecord& record);

  std::vector<std::string> columns_;  ///< behind step and wall_time_s
  ResumedLines file_;
  std::string line_;
};

}  // namespace caravan::io
