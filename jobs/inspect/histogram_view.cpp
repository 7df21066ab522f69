#include "jobs/inspect/histogram_view.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "jobs/drawing/axis.hpp"
#include "jobs/drawing/panel.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/box.hpp"
#include "jobs/inspect/histogram.hpp"
#include "jobs/inspect/readable.hpp"
#include "jobs/inspect/statistics_view.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostTensors = 200, kMostPanels = 48;

struct Named {
  const TensorEntry* tensor;
  Histogram histogram;
};

std::string facts_text(const Histogram& histogram) {
  const Statistics& s = histogram.statistics;
  std::string text =
      fmt::format("{} elements, mean {}, std {}", with_commas(static_cast<std::int64_t>(s.count)),
                  number_text(s.mean), number_text(s.deviation()));
  if (s.finite < s.count)
    text += fmt::format(", {} not finite and left out",
                        with_commas(static_cast<std::int64_t>(s.count - s.finite)));
  return text;
}

std::string chart_text(const Named& named, const TextStyle& style) {
  constexpr int kLabels = 40;
  const Histogram& histogram = named.histogram;
  std::string text =
      painted(fmt::format("{} {}", printable(named.tensor->name), shape_text(named.tensor->extents)),
              Tone::strong, style.ink);
  text += fmt::format("  {}\n", facts_text(histogram));
  const int columns = std::clamp(style.columns - kLabels, 10, 80);
  for (std::size_t bin = 0; bin < histogram.counts.size(); ++bin) {
    const std::uint64_t count = histogram.counts[bin];
    const double share =
        static_cast<double>(count) / static_cast<double>(std::max<std::uint64_t>(1, histogram.most()));
    const std::string bar = painted(bar_text(share, columns), Tone::accent, style.ink);
    text += fmt::format("{:>11} {:>15} {}\n", number_text(histogram.edge(bin)),
                        with_commas(static_cast<std::int64_t>(count)), bar);
  }
  return text + fmt::format("{:>11}\n\n", number_text(histogram.edge(histogram.counts.size())));
}

ordered_json to_json(const Named& named) {
  ordered_json object = {
      {"name", named.tensor->name},      {"dtype", named.tensor->type},
      {"shape", named.tensor->extents},  {"statistics", to_json(named.histogram.statistics)},
      {"low", named.histogram.low},      {"high", named.histogram.high},
      {"counts", named.histogram.counts}};
  return object;
}

void draw_panel(SvgPage& page, const PanelFrame& frame, const Named& named) {
  const Histogram& histogram = named.histogram;
  Panel panel(page, frame, {Axis::Kind::linear, {histogram.low, histogram.high}},
              {Axis::Kind::whole, {0, static_cast<double>(std::max<std::uint64_t>(1, histogram.most()))}});
  for (std::size_t bin = 0; bin < histogram.counts.size(); ++bin) {
    const double from = histogram.edge(bin), to = histogram.edge(bin + 1);
    if (histogram.counts[bin] == 0) continue;
    panel.bar(from, to, static_cast<double>(histogram.counts[bin]), series_colour(0),
              fmt::format("{} to {}: {}", number_text(from), number_text(to), histogram.counts[bin]));
  }
}

std::string picture(const std::string& path, const std::vector<Named>& all) {
  constexpr double kWidth = 380, kHeight = 170, kTitleSpace = 62, kBetween = 18;
  const std::size_t columns = std::min<std::size_t>(all.size(), 3),
                    rows = (all.size() + columns - 1) / columns;
  const double step_x = Panel::kLeft + kWidth + kBetween,
               step_y = Panel::kTop + kHeight + Panel::kBottom + kBetween;
  SvgPage page(static_cast<double>(columns) * step_x + kBetween,
               kTitleSpace + static_cast<double>(rows) * step_y);
  page.title("Histogram" + std::string(all.size() > 1 ? "s" : ""));
  page.subtitle(path);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double x = kBetween / 2 + static_cast<double>(i % columns) * step_x + Panel::kLeft;
    const double y = kTitleSpace + static_cast<double>(i / columns) * step_y + Panel::kTop;
    const std::string title =
        fmt::format("{} {}", printable(all[i].tensor->name), shape_text(all[i].tensor->extents));
    draw_panel(page, {x, y, kWidth, kHeight, title, facts_text(all[i].histogram), "value", "elements a bin"},
               all[i]);
  }
  return std::move(page).finish();
}

}  // namespace

Report histogram_view(const Subject& subject, const InspectOptions& options, const TextStyle& style) {
  const ReadableTensors chosen = choose_readable(NameFilter(options.patterns), subject.tensors());
  const std::size_t most = options.svg.empty() ? kMostTensors : kMostPanels, count = chosen.readable.size();
  CARAVAN_CHECK(
      count <= most, ConfigError,
      fmt::format("histograms of {} tensors (at most {}). Choose some with --tensors?", count, most));
  CARAVAN_CHECK(
      count > 0, ConfigError,
      fmt::format("{} holds no tensor whose elements can be read\n{}", subject.path, skipped_text(chosen)));
  std::vector<Named> all;
  ProgressLine progress;
  Report report;
  report.json = {
      {"path", subject.path}, {"tensors", ordered_json::array()}, {"skipped", skipped_json(chosen)}};
  report.text = skipped_text(chosen);
  for (const TensorEntry* tensor : chosen.readable) {
    progress.show(printable(tensor->name));
    all.push_back({tensor, histogram_of(*subject.source, *tensor, options.bins)});
    report.text += chart_text(all.back(), style);
    report.json["tensors"].push_back(to_json(all.back()));
  }
  if (!options.svg.empty()) report.svg = picture(subject.path, all);
  return report;
}

}  // namespace caravan::jobs
