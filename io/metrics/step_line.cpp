#include "io/metrics/step_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "caravan/printable.hpp"

namespace caravan::io {
namespace {

struct Part {
  std::string_view key;
  const char* format;  ///< with one number
  double unit;         ///< what the number is divided by
};

constexpr Part kParts[] = {
    {metric::kLoss, "  loss {:.4f}", 1},
    {metric::kValidationLoss, "  validation loss {:.4f}", 1},
    {metric::kDroppedShare, "  dropped {:.2f} %", 0.01},
    {metric::kGradNorm, "  grad norm {:.3f}", 1},
    {metric::kLearningRate, "  lr {:.2e}", 1},
    {metric::kDataPasses, "  passes {:.3g}", 1},
    {metric::kTokensPerSecond, "  {:.0f} tokens/s", 1},
    {metric::kTflopPerSecond, "  {:.3g} TFLOP/s", 1},
    {metric::kMfuPercent, "  MFU {:.1f} %", 1},
    {metric::kPeakMemoryBytes, "  memory {:.2f} GiB", 1 << 30},
};

constexpr auto kBetweenBars = std::chrono::milliseconds(200);

double value_of_metric(const MetricValue& value) {
  return std::visit([](auto held) { return static_cast<double>(held); }, value);
}

}  // namespace

std::string format_step(const StepRecord& record, std::int64_t total_steps) {
  std::string line = fmt::format("step {}/{}", record.step, total_steps);
  for (const Part& part : kParts) {
    if (const MetricValue* value = record.find(part.key)) {
      fmt::format_to(std::back_inserter(line), fmt::runtime(part.format),
                     value_of_metric(*value) / part.unit);
    }
  }
  return line;
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::clamp(seconds, 0.0, 1e9) + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {:02} h", whole / 86400, whole % 86400 / 3600);
}

std::string format_bar(std::int64_t step, std::int64_t total_steps, int width) {
  const double done = total_steps > 0
                          ? std::clamp(static_cast<double>(step) / static_cast<double>(total_steps), 0.0, 1.0)
                          : 0;
  const auto full = static_cast<std::size_t>(done * width);
  return fmt::format("[{}{}] {:3.0f} %", std::string(full, '#'),
                     std::string(static_cast<std::size_t>(width) - full, '.'), done * 100);
}

StepLine::Output StepLine::detect(std::FILE* out) {
  return ::isatty(::fileno(out)) ? Output::terminal : Output::plain;
}

StepLine::StepLine(std::FILE* out, std::int64_t total_steps, Output kind)
    : out_(out), total_steps_(total_steps), kind_(kind) {}

StepLine::~StepLine() {
  erase_bar();
}

void StepLine::erase_bar() {
  if (bar_shown_) std::fputs("\r\x1b[K", out_);
  bar_shown_ = false;
}

void StepLine::show_bar(std::int64_t step, const std::string& more) {
  if (kind_ != Output::terminal || step >= total_steps_) return;
  std::fputs((format_bar(step, total_steps_, 40) + more).c_str(), out_);
  bar_shown_ = true;
  shown_ = std::chrono::steady_clock::now();
}

void StepLine::learn_time(const StepRecord& record) {
  const MetricValue* step_s = record.find(metric::kStepSeconds);
  if (!step_s) return;
  // The first step pays for start-up, so the second forgets it.
  mean_step_s_ =
      timed_steps_ < 2 ? value_of_metric(*step_s) : 0.7 * mean_step_s_ + 0.3 * value_of_metric(*step_s);
  ++timed_steps_;
}

std::string StepLine::left_after(std::int64_t step) const {
  const std::int64_t left = total_steps_ - step;
  if (mean_step_s_ <= 0 || left <= 0) return "";
  return "  left " + format_duration(mean_step_s_ * static_cast<double>(left));
}

void StepLine::write(const StepRecord& record) {
  learn_time(record);
  erase_bar();
  std::fprintf(out_, "%s%s\n", format_step(record, total_steps_).c_str(), left_after(record.step).c_str());
  show_bar(record.step, "");
  std::fflush(out_);
}

void StepLine::write_text(const TextRecord& record) {
  erase_bar();
  std::fprintf(out_, "step %lld  %s  \"%s\" -> \"%s\" (%s)\n", static_cast<long long>(record.step),
               std::string(record.name).c_str(), printable(record.prompt).c_str(),
               printable(record.text).c_str(), printable(record.reason).c_str());
  show_bar(record.step, "");
  std::fflush(out_);
}

void StepLine::pass(const StepRecord& record) {
  learn_time(record);
  if (kind_ != Output::terminal || std::chrono::steady_clock::now() - shown_ < kBetweenBars) return;
  erase_bar();
  const MetricValue* loss = record.find(metric::kLoss);
  show_bar(record.step,
           (loss ? fmt::format("  loss {:.4f}", value_of_metric(*loss)) : "") + left_after(record.step));
  std::fflush(out_);
}

}  // namespace caravan::io
