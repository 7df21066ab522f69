#include "io/metrics/json_lines_sink.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/files/lines.hpp"
#include "io/metrics/json_lines_record.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kPrefix = "{\"step\": ";

std::optional<std::int64_t> step_of(std::string_view line) {
  if (!line.starts_with(kPrefix) || !line.ends_with('}')) return std::nullopt;
  line.remove_prefix(kPrefix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  if (error != std::errc() || (*end != ',' && *end != '}')) return std::nullopt;
  return step;
}

/// How many bytes at the front are whole records of steps before `first_step`.
std::uint64_t bytes_before(const std::string& path, std::int64_t first_step) {
  if (!std::filesystem::exists(path)) return 0;
  std::uint64_t kept = 0;
  std::size_t number = 0;
  for_each_line(path, kMostRecordBytes, [&](std::string_view line, std::uint64_t begin) {
    const auto step = step_of(line);
    ++number;
    CARAVAN_CHECK(
        step, IoError,
        fmt::format(
            "{}:{} is no step record (the file was not written by caravan, or is damaged). Move it away?",
            path, number));
    if (*step >= first_step) return false;
    kept = begin + line.size() + 1;
    return true;
  });
  return kept;
}

void append_value(std::string& line, const MetricValue& value) {
  const auto* real = std::get_if<double>(&value);
  if (real && !std::isfinite(*real)) {
    line += "null";
    return;
  }
  std::visit([&](auto number) { fmt::format_to(std::back_inserter(line), "{}", number); }, value);
}

/// metrics.former.jsonl of metrics.jsonl.
std::string former_of(const std::string& path) {
  const std::filesystem::path whole(path);
  return (whole.parent_path() / (whole.stem().string() + ".former" + whole.extension().string())).string();
}

/// Whole lines behind `begin`.
std::string records_behind(const std::string& path, std::uint64_t begin) {
  const File file(path, O_RDONLY);
  const std::uint64_t size = file.size();
  if (size <= begin) return "";
  std::string text(size - begin, '\0');
  file.read_at(begin, std::as_writable_bytes(std::span(text)));
  text.resize(text.rfind('\n') + 1);
  return text;
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

JsonLinesSink::JsonLinesSink(const std::string& path, std::int64_t first_step)
    : path_(path), kept_bytes_(bytes_before(path, first_step)), file_(path, kept_bytes_) {}

bool JsonLinesSink::move_former() {
  try {
    const std::string records = records_behind(path_, kept_bytes_);
    if (records.empty()) return true;
    const std::string former = former_of(path_);
    File file(former, O_WRONLY | O_CREAT | O_APPEND);
    file.write(std::as_bytes(std::span(records)));
    file.sync();
    log_info(fmt::format("{} records of {}, whose steps are done again, are in {} now",
                         std::count(records.begin(), records.end(), '\n'), path_, former));
    return true;
  } catch (const IoError& error) {
    if (!warned_) log_warning(fmt::format("{}; records are lost until it can be written", error.message()));
    warned_ = true;
    return false;
  }
}

void JsonLinesSink::write(const StepRecord& record) {
  if (!moved_) moved_ = move_former();
  if (!moved_) return;
  line_ = kPrefix;
  append_value(line_, record.step);
  fmt::format_to(std::back_inserter(line_), ", \"wall_time_s\": {:.3f}", now_s());
  for (const auto& [key, value] : record.values()) {
    fmt::format_to(std::back_inserter(line_), ", \"{}\": ", key);
    append_value(line_, value);
  }
  line_ += "}\n";
  file_.append(line_);
}

}  // namespace caravan::io
