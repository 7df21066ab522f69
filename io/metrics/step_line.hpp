#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "caravan/metrics.hpp"

namespace caravan::io {

/// "step 12/1000  loss 4.2314  grad norm 0.512  lr 3.00e-04  12345 tokens/s …": the known keys that the
/// record has.
std::string format_step(const StepRecord& record, std::int64_t total_steps);

/// "45 s", "3 min 20 s", "2 h 05 min", "4 d 03 h"
std::string format_duration(double seconds);

/// `[#####.....]  50 %` of `width` characters between the brackets.
std::string format_bar(std::int64_t step, std::int64_t total_steps, int width);

/// The line that people read: one a record, with the time left. On a terminal a progress bar stays below the
/// lines.
class StepLine final : public MetricSink {
 public:
  enum class Output { plain, terminal };
  static Output detect(std::FILE* out);

  /// Borrows `out`.
  StepLine(std::FILE* out, std::int64_t total_steps, Output kind);
  /// Removes the bar.
  ~StepLine() override;
  StepLine(const StepLine&) = delete;
  StepLine& operator=(const StepLine&) = delete;
  void write(const StepRecord& record) override;
  bool takes_texts() const override { return true; }
  /// On one line: what would move the cursor is escaped.
  void write_text(const TextRecord& record) override;
  /// A step without a line of its own: on a terminal the bar moves, a few times a second at most, and shows
  /// its loss and the time left.
  void pass(const StepRecord& record);

 private:
  void erase_bar();
  void show_bar(std::int64_t step, const std::string& more);
  void learn_time(const StepRecord& record);
  /// "  left 3 min 20 s"; nothing after the last step and where no step had a time.
  std::string left_after(std::int64_t step) const;

  std::FILE* out_;
  std::int64_t total_steps_;
  Output kind_;
  double mean_step_s_ = 0;
  std::int64_t timed_steps_ = 0;
  std::chrono::steady_clock::time_point shown_{};
  bool bar_shown_ = false;
};

}  // namespace caravan::io
