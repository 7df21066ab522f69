#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caravan/metrics.hpp"
#include "io/metrics/resumed_lines.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// Which steps a sink gets that does not get all.
enum class RecordIs { usual, edge };

/// The sinks of a job, open for one start of its run. What a sink throws is a warning, once, and costs it the
/// record; how many records it cost is said at the end. Where earlier starts wrote metrics.jsonl and this one
/// does not, what stands there of steps that are done again is moved away all the same, since plot and
/// compare-runs would take it for this run's.
class MetricSinks {
 public:
  /// [rank 0] Errors of opening name the sink, and end the run before it begins.
  MetricSinks(TrainSetup& setup, const MetricsRun& run);
  ~MetricSinks();
  MetricSinks(const MetricSinks&) = delete;
  MetricSinks& operator=(const MetricSinks&) = delete;

  /// `edge`: also to sinks that get every n-th step alone.
  void write(const StepRecord& record, RecordIs is);
  /// To sinks that have a place for texts.
  void write_text(const TextRecord& record);
  bool take_texts() const;
  void flush();

 private:
  struct Open {
    std::string name;
    std::int64_t every;
    std::unique_ptr<MetricSink> sink;
    std::int64_t lost = 0;  ///< calls that threw
  };
  template <class Call>
  void call(Open& open, const std::string& doing, Call&& action);

  std::vector<Open> sinks_;
  std::unique_ptr<io::ResumedLines> left_out_;  ///< metrics.jsonl of earlier starts, until it is cut
};

}  // namespace caravan::jobs
