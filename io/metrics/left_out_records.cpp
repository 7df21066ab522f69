#include "io/metrics/left_out_records.hpp"

#include <algorithm>
#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/metrics/csv_sink.hpp"
#include "io/metrics/json_lines_sink.hpp"
#include "io/metrics/tensorboard_sink.hpp"

namespace caravan::io {
namespace {

void retire(const std::string& sink, const std::string& path, std::int64_t first_step) {
  if (sink == "jsonl") return JsonLinesSink(path, first_step).retire();
  if (sink == "csv") return CsvSink(path, first_step).retire();
  const TensorBoardSink declares_void(path, first_step);
}

}  // namespace

void retire_left_out(const std::string& folder, std::int64_t first_step, std::span<const std::string> sinks) {
  struct Record {
    const char *sink, *name;
  };
  constexpr Record kRecords[] = {
      {"jsonl", "/metrics.jsonl"}, {"csv", "/metrics.csv"}, {"tensorboard", "/tensorboard"}};
  for (const Record& record : kRecords) {
    const std::string path = folder + record.name;
    std::error_code ignored;
    if (std::ranges::find(sinks, record.sink) != sinks.end() || !std::filesystem::exists(path, ignored))
      continue;
    try {
      retire(record.sink, path, first_step);
    } catch (const Error& error) {
      log_warning(error.message() + "; it keeps records of steps that are done again");
    }
  }
}

}  // namespace caravan::io
