#include "jobs/inspect/recorded_routing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "caravan/error.hpp"
#include "caravan/metrics.hpp"
#include "io/files/lines.hpp"
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
  std::optional<std::string> found;
  io::for_each_line(path, kMostLineBytes, [&](std::string_view line, std::uint64_t) {
    if (line.starts_with(start)) found = line;
    return !found;
  });
  return found;
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

/// Nothing where one of them is no number.
template <std::size_t N>
std::optional<std::array<double, N>> numbers(const nlohmann::json& record,
                                             const std::array<std::string_view, N>& keys) {
  std::array<double, N> values{};
  for (std::size_t at = 0; at < N; ++at) {
    const auto found = record.find(keys[at]);
    if (found == record.end() || !found->is_number()) return std::nullopt;
    values[at] = found->template get<double>();
  }
  return values;
}

RecordedRouting routing_in(const nlohmann::json& record) {
  RecordedRouting routing;
  for (const auto& [key, value] : record.items()) add(routing.counts, key, value);
  constexpr std::array kRows = {metric::kExpertRowsSent, metric::kExpertRowsReceivedMost,
                                metric::kExpertRankImbalance};
  if (const auto rows = numbers(record, kRows)) routing.rank_rows = {(*rows)[0], (*rows)[1], (*rows)[2]};
  constexpr std::array kDrops = {metric::kDroppedRows, metric::kDroppedShare};
  if (const auto drops = numbers(record, kDrops)) routing.dropped = {(*drops)[0], (*drops)[1]};
  return routing;
}

}  // namespace

std::optional<RecordedRouting> read_routing(const std::string& metrics_file, std::int64_t step) {
  const auto line =
      line_of_step(metrics_file, step);  // a file that cannot be read is no file without the step
  if (!line) return std::nullopt;
  try {
    return routing_in(io::parse_json_strict(*line, metrics_file));
  } catch (const IoError&) {
    return std::nullopt;
  }
}

}  // namespace caravan::jobs
