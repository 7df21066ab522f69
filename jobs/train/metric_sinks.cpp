#include "jobs/train/metric_sinks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/metrics/left_out_records.hpp"
#include "jobs/job/place.hpp"

namespace caravan::jobs {
namespace {

std::unique_ptr<MetricSink> opened(Metrics& metrics, const MetricsRun& run, const std::string& name) {
  try {
    auto sink = metrics.open(run);
    CARAVAN_CHECK(sink, PluginError, "it opened nothing");
    return sink;
  } catch (Error& error) {
    error.add_context("metrics/" + name);
    throw;
  } catch (const std::exception& error) {
    throw PluginError(fmt::format("metrics/{} cannot be opened: {}", name, error.what()));
  }
}

}  // namespace

MetricSinks::MetricSinks(TrainSetup& setup, const MetricsRun& run, std::int64_t first_new)
    : folder_(run.folder), first_new_(first_new) {
  std::error_code problem;
  std::filesystem::create_directories(run.folder, problem);
  CARAVAN_CHECK(!problem, IoError,
                fmt::format("cannot make the folder {} ({})", run.folder, problem.message()));
  const std::vector<MetricsRule::Sink>& rules = setup.job().metrics.sinks;
  for (std::size_t at = 0; at < rules.size(); ++at)
    sinks_.push_back({rules[at].name, rules[at].every, opened(*setup.metrics()[at], run, rules[at].name)});
}

MetricSinks::~MetricSinks() {
  for (const Open& open : sinks_)
    if (open.lost > 0) log_warning(fmt::format("metrics/{} lost {} of its records", open.name, open.lost));
}

template <class Call>
void MetricSinks::call(Open& open, const std::string& doing, Call&& action) {
  std::string problem;
  try {
    return action(*open.sink);
  } catch (const std::exception& error) {
    problem = error.what();
  } catch (...) {
    problem = "an exception that is no std::exception";
  }
  if (open.lost++ == 0)
    log_warning(fmt::format("metrics/{}: {} failed: {}; the run goes on, and records are lost", open.name,
                            doing, problem));
}

void MetricSinks::retire_left_out() {
  std::vector<std::string> names;
  for (const Open& open : sinks_) names.push_back(open.name);
  io::retire_left_out(folder_, first_new_, names);
}

void MetricSinks::write(const StepRecord& record, RecordIs is) {
  if (std::exchange(is_first_, false)) retire_left_out();
  for (Open& open : sinks_)
    if (is == RecordIs::edge || record.step % open.every == 0)
      call(open, fmt::format("the record of step {}", record.step),
           [&](MetricSink& sink) { sink.write(record); });
}

bool MetricSinks::take_texts() const {
  return std::any_of(sinks_.begin(), sinks_.end(), [](const Open& open) { return open.sink->takes_texts(); });
}

void MetricSinks::write_text(const TextRecord& record) {
  for (Open& open : sinks_)
    if (open.sink->takes_texts())
      call(open, fmt::format("a text of step {}", record.step),
           [&](MetricSink& sink) { sink.write_text(record); });
}

void MetricSinks::flush() {
  for (Open& open : sinks_) call(open, "flushing", [](MetricSink& sink) { sink.flush(); });
}

}  // namespace caravan::jobs
