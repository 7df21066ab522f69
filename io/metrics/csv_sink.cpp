#include "io/metrics/csv_sink.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>

#include "caravan/check.hpp"
#include "io/files/lines.hpp"
#include "io/metrics/json_lines_record.hpp"
#include "io/metrics/wall_time.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kFirstColumns = "step,wall_time_s";

/// The columns that `path` has behind the first; none where there is no file, or no whole head.
std::vector<std::string> columns_in(const std::string& path) {
  std::vector<std::string> columns;
  if (!std::filesystem::exists(path)) return columns;
  for_each_line(path, kMostRecordBytes, [&](std::string_view line, std::uint64_t) {
    CARAVAN_CHECK(line.starts_with(kFirstColumns), IoError,
                  fmt::format("{}:1 is no head of step records (it does not begin with {}). Move it away?",
                              path, kFirstColumns));
    line.remove_prefix(kFirstColumns.size());
    while (!line.empty()) {
      const std::size_t end = std::min(line.find(',', 1), line.size());
      columns.emplace_back(line.substr(1, end - 1));
      line.remove_prefix(end);
    }
    return false;
  });
  return columns;
}

std::string head_of(const std::vector<std::string>& columns) {
  std::string head(kFirstColumns);
  for (const std::string& column : columns) head += "," + column;
  return head + "\n";
}

std::optional<std::int64_t> step_of_row(std::string_view line) {
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  if (error != std::errc() || end == line.data() + line.size() || *end != ',') return std::nullopt;
  return step;
}

}  // namespace

CsvSink::CsvSink(const std::string& path, std::int64_t first_step)
    : columns_(columns_in(path)), file_(path, head_of(columns_), first_step, step_of_row) {}

bool CsvSink::widen(const StepRecord& record) {
  std::vector<std::string> columns = columns_;
  for (const auto& [key, value] : record.values())
    if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
  if (columns.size() == columns_.size()) return true;
  const std::string more(columns.size() - columns_.size(), ',');
  if (!file_.rewrite(head_of(columns), [&](std::string_view row) { return std::string(row) + more + "\n"; }))
    return false;
  columns_ = std::move(columns);
  return true;
}

void CsvSink::write(const StepRecord& record) {
  if (!widen(record)) return;
  line_.clear();
  fmt::format_to(std::back_inserter(line_), "{},{:.3f}", record.step, wall_time_s());
  for (const std::string& column : columns_) {
    line_ += ',';
    if (const MetricValue* value = record.find(column))
      std::visit([&](auto number) { fmt::format_to(std::back_inserter(line_), "{}", number); }, *value);
  }
  line_ += '\n';
  file_.append(line_);
}

}  // namespace caravan::io
