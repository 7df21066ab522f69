#include "jobs/inspect/expert_counts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "caravan/error.hpp"
#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kMostLineBytes = 16'000'000;
constexpr std::size_t kMostExperts = 100'000;
constexpr std::string_view kMark = ".tokens_per_expert/";

/// The line whose first key is the step; JsonLinesSink writes it first.
std::optional<std::string> line_of_step(const std::string& path, std::int64_t step) {
  const std::string start = fmt::format("{{\"step\": {},", step);
  if (!std::filesystem::exists(path)) return std::nullopt;
  const io::MappedFile file(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (line.size() <= kMostLineBytes && line.starts_with(start)) return std::string(line);
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return std::nullopt;
}

void add(ExpertCounts& counts, const std::string& key, const nlohmann::json& value) {
  const std::size_t mark = key.find(kMark);
  if (mark == std::string::npos || !value.is_number()) return;
  const std::string_view digits = std::string_view(key).substr(mark + kMark.size());
  std::size_t expert = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), expert);
  if (problem != std::errc() || end != digits.data() + digits.size() || expert >= kMostExperts) return;
  std::vector<double>& layer = counts[key.substr(0, mark)];
  layer.resize(std::max(layer.size(), expert + 1));
  layer[expert] = value.get<double>();
}

}  // namespace

std::optional<ExpertCounts> read_expert_counts(const std::string& metrics_file, std::int64_t step) {
  const auto line = line_of_step(metrics_file, step);
  if (!line) return std::nullopt;
  try {
    const nlohmann::json record = io::parse_json_strict(*line, metrics_file);
    ExpertCounts counts;
    for (const auto& [key, value] : record.items()) add(counts, key, value);
    return counts;
  } catch (const IoError&) {
    return std::nullopt;
  }
}

}  // namespace caravan::jobs
