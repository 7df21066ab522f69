#include "io/metrics/json_lines_sink.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <optional>

#include "caravan/check.hpp"

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
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::size_t begin = 0;
  for (std::size_t number = 1;; ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return begin;
    const auto step = step_of(text.substr(begin, end - begin));
    CARAVAN_CHECK(
        step, IoError,
        fmt::format(
            "{}:{} is no step record (the file was not written by caravan, or is damaged). Move it away?",
            path, number));
    if (*step >= first_step) return begin;
    begin = end + 1;
  }
}

void append_value(std::string& line, const MetricValue& value) {
  const auto* real = std::get_if<double>(&value);
  if (real && !std::isfinite(*real)) {
    line += "null";
    return;
  }
  std::visit([&](auto number) { fmt::format_to(std::back_inserter(line), "{}", number); }, value);
}

}  // namespace

JsonLinesSink::JsonLinesSink(const std::string& path, std::int64_t first_step)
    : file_(path, bytes_before(path, first_step)) {}

void JsonLinesSink::write(const StepRecord& record) {
  line_ = kPrefix;
  append_value(line_, record.step);
  for (const auto& [key, value] : record.values()) {
    fmt::format_to(std::back_inserter(line_), ", \"{}\": ", key);
    append_value(line_, value);
  }
  line_ += "}\n";
  file_.append(line_);
}

}  // namespace caravan::io
