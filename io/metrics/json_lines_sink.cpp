#include "io/metrics/json_lines_sink.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "io/metrics/wall_time.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kPrefix = "{\"step\": ";

std::optional<std::int64_t> step_of_object(std::string_view line) {
  if (!line.starts_with(kPrefix) || !line.ends_with('}')) return std::nullopt;
  line.remove_prefix(kPrefix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  if (error != std::errc() || (*end != ',' && *end != '}')) return std::nullopt;
  return step;
}

void append_value(std::string& line, const MetricValue& value) {
  const auto* real = std::get_if<double>(&value);
  if (real && !std::isfinite(*real)) {
    line += "null";
    return;
  }
  std::visit([&](auto number) { fmt::format_to(std::back_inserter(line), "{}", number); }, value);
}

void begin_line(std::string& line, std::int64_t step) {
  line = kPrefix;
  fmt::format_to(std::back_inserter(line), "{}, \"wall_time_s\": {:.3f}", step, wall_time_s());
}

/// What is no UTF-8, as a byte that a tokenizer cut off, becomes U+FFFD.
std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

JsonLinesSink::JsonLinesSink(const std::string& path, std::int64_t first_step)
    : samples_path_((std::filesystem::path(path).parent_path() / "samples.jsonl").string()),
      first_step_(first_step),
      file_(path, "", first_step, step_of_object) {}

ResumedLines& JsonLinesSink::samples() {
  if (!samples_) samples_.emplace(samples_path_, "", first_step_, step_of_object);
  return *samples_;
}

/// Texts may never come again.
void JsonLinesSink::retire() {
  file_.retire();
  if (std::filesystem::exists(samples_path_)) samples().retire();
}

void JsonLinesSink::write(const StepRecord& record) {
  if (std::exchange(is_first_, false)) retire();
  begin_line(line_, record.step);
  for (const auto& [key, value] : record.values()) {
    fmt::format_to(std::back_inserter(line_), ", \"{}\": ", key);
    append_value(line_, value);
  }
  line_ += "}\n";
  file_.append(line_);
}

void JsonLinesSink::write_text(const TextRecord& record) {
  begin_line(line_, record.step);
  fmt::format_to(std::back_inserter(line_),
                 ", \"name\": {}, \"prompt\": {}, \"text\": {}, \"tokens\": {}, \"reason\": {}}}\n",
                 quoted(record.name), quoted(record.prompt), quoted(record.text), record.tokens,
                 quoted(record.reason));
  samples().append(line_);
}

}  // namespace caravan::io
