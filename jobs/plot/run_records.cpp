#include "jobs/plot/run_records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "caravan/check.hpp"
#include "io/files/file.hpp"
#include "jobs/job/metrics_rule.hpp"
#include "jobs/plot/step_line.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// 64 bytes each.
constexpr std::size_t kMostSteps = std::size_t{16} << 20;

std::string file_of(const std::string& path) {
  std::error_code ignored;
  CARAVAN_CHECK(fs::exists(path, ignored), IoError,
                fmt::format("there is no {}. The output folder of a run?", path));
  return fs::is_directory(path, ignored) ? path + "/metrics.jsonl" : path;
}

/// IoError for a run whose job says that it will never have the file; a job that cannot be read says nothing.
void check_sinks(const std::string& run) {
  constexpr std::uint64_t kMostJobBytes = std::uint64_t{1} << 20;
  const std::string job = run + "/job.yaml";
  std::error_code ignored;
  if (!fs::is_regular_file(job, ignored)) return;
  std::string sinks;
  try {
    const MetricsRule rule =
        read_metrics(resolve_metrics(Config::parse(io::read_text(job, kMostJobBytes), job).find("metrics")));
    if (rule.has("jsonl")) return;
    for (const MetricsRule::Sink& sink : rule.sinks) sinks += (sinks.empty() ? "" : ", ") + sink.name;
  } catch (const Error&) {
    return;
  }
  throw IoError(
      fmt::format("{} has no metrics.jsonl, which this reads (its job has metrics.sinks=[{}], without "
                  "jsonl). jsonl among "
                  "metrics.sinks from the next start on?",
                  run, sinks));
}

}  // namespace

RunRecords::RunRecords(std::string path, Wait wait) : path_(std::move(path)), file_(file_of(path_)) {
  std::error_code ignored;
  if (!fs::exists(file_.path(), ignored)) check_sinks(path_);
  CARAVAN_CHECK(
      wait == Wait::yes || fs::exists(file_.path(), ignored), IoError,
      fmt::format("{} is no run that records its steps (it has no metrics.jsonl). The output folder "
                  "of a run with jsonl among metrics.sinks?",
                  path_));
  read_new();
  CARAVAN_CHECK(
      !steps_.empty() || damaged_ == 0, IoError,
      fmt::format("{} holds no record of a step (what is read are lines of JSON, as metrics.jsonl has "
                  "them{}). The run's folder?",
                  path_, path_.ends_with(".csv") ? "; a table is for other programs" : ""));
}

bool RunRecords::read_new() {
  std::error_code ignored;
  if (!fs::exists(file_.path(), ignored)) return false;
  bool is_new = false;
  const auto forget = [&] {
    steps_.clear();
    damaged_ = 0;
    is_new = true;
  };
  file_.read_new(forget, [&](std::string_view line) {
    add(line);
    is_new = true;
  });
  put_in_order();
  return is_new;
}

void RunRecords::add(std::string_view line) {
  if (line.empty()) return;
  const auto values = read_step_line(line);
  if (!values) {
    ++damaged_;
    return;
  }
  CARAVAN_CHECK(
      steps_.size() < kMostSteps, IoError,
      fmt::format("{} has more than {} steps (that many fit in no picture). Every n-th line of it in "
                  "a file?",
                  file_.path(), kMostSteps));
  steps_.push_back(*values);
}

void RunRecords::put_in_order() {
  const auto is_before = [](const StepValues& a, const StepValues& b) { return a.step < b.step; };
  const auto is_not_before = [&](const StepValues& a, const StepValues& b) { return !is_before(a, b); };
  if (std::adjacent_find(steps_.begin(), steps_.end(), is_not_before) == steps_.end()) return;
  std::stable_sort(steps_.begin(), steps_.end(), is_before);
  std::size_t kept = 0;
  for (std::size_t at = 0; at < steps_.size(); ++at) {
    if (at + 1 == steps_.size() || steps_[at].step != steps_[at + 1].step) steps_[kept++] = steps_[at];
  }
  steps_.resize(kept);
}

bool RunRecords::has(Curve curve) const {
  return std::any_of(steps_.begin(), steps_.end(),
                     [&](const StepValues& values) { return !std::isnan(values.at(curve)); });
}

}  // namespace caravan::jobs
