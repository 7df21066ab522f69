#include "jobs/inspect/experts_view.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "jobs/drawing/axis.hpp"
#include "jobs/inspect/experts.hpp"
#include "jobs/inspect/experts_svg.hpp"
#include "jobs/inspect/table.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

constexpr const char* kUnknown = "-";

std::vector<std::string> ends_of(const std::vector<double>& values) {
  if (values.empty()) return {kUnknown, kUnknown};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {number_text(*least), number_text(*most)};
}

std::vector<std::string> row_of(const ExpertLayer& layer) {
  std::vector<std::string> row = {std::to_string(layer.layer), std::to_string(layer.experts())};
  for (const auto* values : {&layer.bias, &layer.rms}) {
    for (std::string& end : ends_of(*values)) row.push_back(std::move(end));
  }
  if (layer.tokens.empty()) {
    row.insert(row.end(), 4, kUnknown);
  } else {
    const Balance balance = balance_of(layer.tokens);
    for (const double value : {balance.least, balance.most, balance.variation})
      row.push_back(number_text(value));
    row.push_back(std::to_string(balance.idle));
  }
  return row;
}

/// A line a layer, a character an expert; nothing where no layer knows it.
std::string sparks_text(const Experts& experts, const std::string& what,
                        std::vector<double> ExpertLayer::*values) {
  std::string text;
  for (const ExpertLayer& layer : experts.layers) {
    if (!(layer.*values).empty()) text += fmt::format("{:>5}  {}\n", layer.layer, spark_text(layer.*values));
  }
  return text.empty() ? ""
                      : fmt::format("\n{} by expert, from a layer's lowest to its highest\n{}", what, text);
}

/// What the checkpoint's step made of all layers together; nothing where it did neither.
std::string step_text(const Experts& experts) {
  std::string text;
  if (const auto& rows = experts.rank_rows)
    text += fmt::format(
        "Rows between ranks: {} received by the rank with most, which sent {} ({:.3f} of even routing)\n",
        number_text(rows->received_most), number_text(rows->sent), rows->imbalance);
  if (const auto& dropped = experts.dropped)
    text += fmt::format("Dropped beyond capacity: {} rows, {:.2f} % of all choices\n",
                        number_text(dropped->rows), 100 * dropped->share);
  return text;
}

std::string text_of(const Experts& experts, const TextStyle& style) {
  Table table({"layer", "experts", "bias min", "max", "weights rms min", "max", "tokens/mean min", "max",
               "std", "idle"});
  for (const ExpertLayer& layer : experts.layers) table.add(row_of(layer));
  return table.text(style.ink) + sparks_text(experts, "bias", &ExpertLayer::bias) +
         sparks_text(experts, "tokens", &ExpertLayer::tokens) +
         fmt::format(
             "\nA checkpoint holds expert biases and weights; it holds no token counts.\nTokens: {}\n{}",
             experts.counts_from, step_text(experts));
}

ordered_json to_json(const ExpertLayer& layer) {
  ordered_json object = {{"layer", layer.layer},     {"experts", layer.experts()}, {"bias", layer.bias},
                         {"weights_rms", layer.rms}, {"tokens", nullptr},          {"balance", nullptr}};
  if (layer.tokens.empty()) return object;
  const Balance balance = balance_of(layer.tokens);
  object["tokens"] = layer.tokens;
  object["balance"] = {{"least_of_mean", balance.least},
                       {"most_of_mean", balance.most},
                       {"std_of_mean", balance.variation},
                       {"idle", balance.idle}};
  return object;
}

ordered_json to_json(const std::optional<RankRows>& rows) {
  if (!rows) return nullptr;
  return {{"sent", rows->sent}, {"received_most", rows->received_most}, {"imbalance", rows->imbalance}};
}

ordered_json to_json(const std::optional<DroppedRows>& dropped) {
  if (!dropped) return nullptr;
  return {{"rows", dropped->rows}, {"share", dropped->share}};
}

}  // namespace

Report experts_view(const Subject& subject, const InspectOptions& options, const TextStyle& style) {
  const Experts experts = experts_of(subject);
  CARAVAN_CHECK(
      !experts.layers.empty(), ConfigError,
      fmt::format("{} has no experts (neither /model/layers.N.moe.experts.* nor /state/*.expert_bias)",
                  subject.path));
  Report report;
  report.text = text_of(experts, style);
  report.json = {{"path", subject.path},
                 {"counts_from", experts.counts_from},
                 {"rank_rows", to_json(experts.rank_rows)},
                 {"dropped", to_json(experts.dropped)},
                 {"layers", ordered_json::array()}};
  for (const ExpertLayer& layer : experts.layers) report.json["layers"].push_back(to_json(layer));
  if (!options.svg.empty()) report.svg = draw_experts_svg(subject.path, experts);
  return report;
}

}  // namespace caravan::jobs
