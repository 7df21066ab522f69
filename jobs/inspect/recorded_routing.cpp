#include "jobs/inspect/recorded_routing.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "caravan/error.hpp"
#include "caravan/metrics.hpp"
#include "io/files/strict_json.hpp"
#include "io/metrics/json_lines_record.hpp"

namespace caravan::jobs {
namespace {

constexpr std::string_view kMark = ".tokens_per_expert/";

void add(ExpertCounts& counts, const std::string& key, const nlohmann::json& value) {
  const std::size_t mark = key.find(kMark);
  if (mark == std::string::npos || !value.is_number()) return;
  const std::string_view digits = std::string_view(key).substr(mark + kMark.size());
  std::size_t expert = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), expert);
  if (problem != std::errc() || end != digits.data() + digits.size()) return;
  counts[key.substr(0, mark)][expert] = value.get<double>();
}

/// Nothing where one of them is no number from 0 on.
template <std::size_t N>
std::optional<std::array<double, N>> numbers(const nlohmann::json& record,
                                             const std::array<std::string_view, N>& keys) {
  std::array<double, N> values{};
  for (std::size_t at = 0; at < N; ++at) {
    const auto found = record.find(keys[at]);
    if (found == record.end() || !found->is_number()) return std::nullopt;
    values[at] = found->template get<double>();
    if (!(values[at] >= 0) || !std::isfinite(values[at])) return std::nullopt;
  }
  return values;
}

RecordedRouting routing_in(const nlohmann::json& record) {
  RecordedRouting routing;
  for (const auto& [key, value] : record.items()) add(routing.counts, key, value);
  constexpr std::array kRows = {metric::kExpertRowsSent, metric::kExpertRowsReceivedMost,
                                metric::kExpertRankImbalance};
  if (const auto rows = numbers(record, kRows)) routing.rank_rows = {(*rows)[1], (*rows)[0], (*rows)[2]};
  constexpr std::array kDrops = {metric::kDroppedRows, metric::kDroppedShare};
  if (const auto drops = numbers(record, kDrops); drops && (*drops)[1] <= 1)
    routing.dropped = {(*drops)[0], (*drops)[1]};
  return routing;
}

}  // namespace

std::optional<RecordedRouting> read_routing(const std::string& metrics_file, std::int64_t step) {
  // A file that cannot be read is no file without the step.
  const auto line = io::find_record_line(metrics_file, step);
  if (!line) return std::nullopt;
  try {
    return routing_in(io::parse_json_strict(*line, metrics_file));
  } catch (const IoError&) {
    return std::nullopt;
  }
}

}  // namespace caravan::jobs
