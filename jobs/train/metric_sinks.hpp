#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caravan/metrics.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// Which steps a sink gets that does not get all.
enum class RecordIs { usual, edge };

/// The sinks of a job, open for one start of its run. What a sink throws is a warning, once, and costs it the
/// record; how many records it cost is said at the end.
class MetricSinks {
 public:
  /// [rank 0] Errors of opening name the sink, and end the run before it begins. `first_new`: the first step
  /// that is done, which comes after run.first_step where a record is amended.
  MetricSinks(TrainSetup& setup, const MetricsRun& run, std::int64_t first_new);
  ~MetricSinks();
  MetricSinks(const MetricSinks&) = delete;
  MetricSinks& operator=(const MetricSinks&) = delete;

  /// `edge`: also to sinks that get every n-th step alone. The first one moves what earlier starts wrote of
  /// the same steps with sinks that this start has not.
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
  void retire_left_out();
  template <class Call>
  void call(Open& open, const std::string& doing, Call&& action);

  std::vector<Open> sinks_;
  std::string folder_;
  std::int64_t first_new_;
  bool is_first_ = true;
};

}  // namespace caravan::jobs
