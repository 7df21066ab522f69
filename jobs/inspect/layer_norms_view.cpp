#include "jobs/inspect/layer_norms_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "caravan/check.hpp"
#include "jobs/drawing/panel.hpp"
#include "jobs/inspect/layer_norms.hpp"
#include "jobs/inspect/readable.hpp"
#include "jobs/inspect/table.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

NormSum whole(const std::map<std::string, NormSum>& kinds) {
  NormSum sum;
  for (const auto& [kind, part] : kinds) {
    sum.squares += part.squares;
    sum.finite += part.finite;
    sum.not_finite += part.not_finite;
  }
  return sum;
}

std::string layers_text(const LayerNorms& norms, const TextStyle& style) {
  std::vector<std::string> head = {"layer"};
  head.insert(head.end(), norms.kinds.begin(), norms.kinds.end());
  head.insert(head.end(), {"all", "not finite", ""});
  Table table(head);
  double most = 0;
  for (const auto& [layer, kinds] : norms.layers) most = std::max(most, whole(kinds).norm());
  for (const auto& [layer, kinds] : norms.layers) {
    const NormSum all = whole(kinds);
    std::vector<std::string> row = {std::to_string(layer)};
    for (const std::string& kind : norms.kinds)
      row.push_back(kinds.contains(kind) ? number_text(kinds.at(kind).norm()) : "-");
    row.push_back(number_text(all.norm()));
    row.push_back(all.not_finite > 0 ? std::to_string(all.not_finite) : "");
    row.push_back(most > 0 ? bar_text(all.norm() / most, 30) : "");
    table.add(std::move(row), all.not_finite > 0 ? Tone::bad : Tone::plain);
  }
  return table.text(style.ink);
}

std::string outside_text(const LayerNorms& norms, const TextStyle& style) {
  Table table({"outside of layers", "norm", "not finite"});
  for (const auto& [name, sum] : norms.outside) {
    table.add(
        {printable(name), number_text(sum.norm()), sum.not_finite > 0 ? std::to_string(sum.not_finite) : ""},
        sum.not_finite > 0 ? Tone::bad : Tone::plain);
  }
  return table.text(style.ink);
}

ordered_json to_json(const NormSum& sum) {
  return {{"norm", sum.norm()}, {"rms", sum.rms()}, {"elements", sum.finite}, {"not_finite", sum.not_finite}};
}

ordered_json to_json(const std::map<std::string, NormSum>& sums) {
  ordered_json object = ordered_json::object();
  for (const auto& [name, sum] : sums) object[name] = to_json(sum);
  return object;
}

ordered_json to_json(const LayerNorms& norms) {
  ordered_json layers = ordered_json::array();
  for (const auto& [layer, kinds] : norms.layers)
    layers.push_back({{"layer", layer}, {"all", to_json(whole(kinds))}, {"kinds", to_json(kinds)}});
  return {{"layers", layers}, {"outside", to_json(norms.outside)}};
}

using Curve = std::vector<std::pair<double, double>>;

Curve curve_of(const LayerNorms& norms, const std::string& kind) {
  Curve curve;
  for (const auto& [layer, kinds] : norms.layers) {
    const auto found = kinds.find(kind);
    if (found != kinds.end() && std::isfinite(found->second.norm()))
      curve.emplace_back(static_cast<double>(layer), found->second.norm());
  }
  return curve;
}

/// Logarithmic where the norms lie far apart.
PanelScale scale_of(const std::vector<Curve>& curves) {
  constexpr double kFarApart = 20;
  double low = INFINITY, high = 0;
  for (const Curve& curve : curves) {
    for (const auto& [layer, norm] : curve) {
      if (norm > 0) low = std::min(low, norm);
      high = std::max(high, norm);
    }
  }
  if (high == 0) return {Axis::Kind::linear, {0, 1}};
  return high > kFarApart * low ? PanelScale{Axis::Kind::logarithmic, {low, high}}
                                : PanelScale{Axis::Kind::linear, {0, high}};
}

constexpr double kWidth = 720, kHeight = 340, kNormsHead = 62, kLegend = 130;

/// The name of curve `index` beside the panel, with its colour.
void add_legend(SvgPage& page, const PanelFrame& frame, std::size_t index, const std::string& name) {
  constexpr double kRow = 18;
  const double top = frame.y + static_cast<double>(index) * kRow, left = frame.x + kWidth + 16;
  page.add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", left, top,
           hex(series_colour(index)));
  page.text({left + 18, top + 10, "start", "#444", SvgPage::kFont, kLegend - 46}, name);
}

std::string picture(const std::string& path, const LayerNorms& norms) {
  std::vector<Curve> curves;
  for (const std::string& kind : norms.kinds) curves.push_back(curve_of(norms, kind));
  const PanelScale y = scale_of(curves);
  const double first = static_cast<double>(norms.layers.begin()->first),
               last = static_cast<double>(norms.layers.rbegin()->first);
  SvgPage page(Panel::kLeft + 12 + kWidth + kLegend, kNormsHead + Panel::kTop + kHeight + Panel::kBottom);
  page.title("Norms by layer");
  page.subtitle(path);
  const PanelFrame frame{
      Panel::kLeft + 12,
      kNormsHead + Panel::kTop - 24,
      kWidth,
      kHeight,
      "",
      "",
      "layer",
      y.kind == Axis::Kind::logarithmic ? "L2 norm (logarithmic above the first mark)" : "L2 norm"};
  Panel panel(page, frame, {Axis::Kind::whole, {first, last}}, y);
  for (std::size_t i = 0; i < curves.size(); ++i) {
    panel.curve(curves[i], series_colour(i), norms.kinds[i]);
    add_legend(page, frame, i, norms.kinds[i]);
  }
  return std::move(page).finish();
}

}  // namespace

Report layer_norms_view(const Subject& subject, const InspectOptions& options, const TextStyle& style) {
  const ReadableTensors chosen = choose_readable(NameFilter(options.patterns), subject.tensors());
  const LayerNorms norms = layer_norms_of(*subject.source, chosen.readable);
  CARAVAN_CHECK(!norms.layers.empty(), ConfigError,
                fmt::format("{} has no tensors of layers (names with layers.N.)", subject.path));
  Report report;
  report.text = skipped_text(chosen) + layers_text(norms, style);
  if (!norms.outside.empty()) report.text += "\n" + outside_text(norms, style);
  report.json = {{"path", subject.path}};
  report.json.update(to_json(norms));
  report.json["skipped"] = skipped_json(chosen);
  if (!options.svg.empty()) report.svg = picture(subject.path, norms);
  return report;
}

}  // namespace caravan::jobs
