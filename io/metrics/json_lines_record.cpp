#include "io/metrics/json_lines_record.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "io/files/lines.hpp"

namespace caravan::io {
namespace {

/// The sink writes what is not finite as null.
std::optional<MetricValue> value_of(const nlohmann::ordered_json& value) {
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  return std::nullopt;
}

std::optional<StepRecord> record_from(std::string_view line, std::int64_t step) {
  const auto object = nlohmann::ordered_json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  StepRecord record;
  record.step = step;
  for (const auto& [key, text] : object.items()) {
    const auto value = value_of(text);
    if (!value) return std::nullopt;
    if (key != "step" && key != "wall_time_s") record.set(key, *value);
  }
  return record;
}

}  // namespace

std::optional<std::string> find_record_line(const std::string& path, std::int64_t step) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const std::string start = fmt::format("{{\"step\": {},", step);
  std::optional<std::string> found;
  for_each_line(path, kMostRecordBytes, [&](std::string_view line, std::uint64_t) {
    if (line.starts_with(start)) found = line;
    return !found;
  });
  return found;
}

std::optional<StepRecord> find_record(const std::string& path, std::int64_t step) {
  const auto line = find_record_line(path, step);
  if (!line) return std::nullopt;
  auto record = record_from(*line, step);
  CARAVAN_CHECK(
      record, IoError,
      fmt::format("the line of step {} in {} is no step record (it is damaged). Move the file away?", step,
                  path));
  return record;
}

}  // namespace caravan::io
