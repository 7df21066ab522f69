#include "jobs/plot/picture.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "caravan/check.hpp"
#include "jobs/plot/run_names.hpp"
#include "jobs/plot/series.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

/// Values that hardly differ are drawn as one value in the middle: between them doubles would have no ticks.
Axis::Limits widened(double low, double high, bool is_logarithmic) {
  constexpr double kLeastRange = 1e-9, kLeastSize = 1e-90;
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low > kLeastRange * size && (is_logarithmic || size > kLeastSize)) return {low, high};
  const double room = is_logarithmic ? low / 2 : size > kLeastSize ? size / 2 : 1;
  return {low - room, high + room};
}

void set_scales(Plot& plot, bool is_logarithmic) {
  double left = INFINITY, right = -INFINITY, low = INFINITY, high = -INFINITY;
  for (const Series& series : plot.series) {
    for (const auto& [step, value] : series.points) {
      left = std::min(left, step);
      right = std::max(right, step);
      if (std::isfinite(value)) low = std::min(low, value);
      if (std::isfinite(value)) high = std::max(high, value);
    }
  }
  if (left > right) left = 0, right = 1;
  if (low > high) low = high = 1;
  plot.x = {Axis::Kind::whole, {left, std::max(right, left + 1)}};
  plot.y = {is_logarithmic ? Axis::Kind::positive : Axis::Kind::linear, widened(low, high, is_logarithmic)};
}

std::int64_t narrowed(std::size_t count) {
  return static_cast<std::int64_t>(count);
}

class Maker {
 public:
  Maker(const std::vector<RunRecords>& runs, const PictureOptions& options, RunRecords::Wait wait)
      : runs_(runs), options_(options), wait_(wait) {
    std::vector<std::string> paths;
    for (const RunRecords& run : runs) paths.push_back(run.path());
    picture_.runs = distinct_names(paths);
  }

  Picture picture() && {
    note_runs();
    for (const Curve curve : wanted()) add(curve);
    check_drawn();
    for (Plot& plot : picture_.plots) set_scales(plot, options_.is_logarithmic);
    return std::move(picture_);
  }

 private:
  bool any_has(Curve curve) const {
    return std::any_of(runs_.begin(), runs_.end(), [&](const RunRecords& run) { return run.has(curve); });
  }

  std::vector<Curve> wanted() const {
    if (!options_.what.empty()) return options_.what;
    std::vector<Curve> curves{Curve::loss};
    if (any_has(Curve::validation_loss)) curves.push_back(Curve::validation_loss);
    return curves;
  }

  void check_drawn() const {
    bool is_drawn = wait_ == RunRecords::Wait::yes;
    std::int64_t first = PictureOptions{}.to, last = 0;
    for (const Plot& plot : picture_.plots) {
      for (const Series& series : plot.series) is_drawn = is_drawn || !series.points.empty();
    }
    for (const RunRecords& run : runs_) {
      if (run.steps().empty()) continue;
      first = std::min(first, run.steps().front().step);
      last = std::max(last, run.steps().back().step);
    }
    const bool has_end = options_.to < PictureOptions{}.to;
    CARAVAN_CHECK(is_drawn, ConfigError,
                  fmt::format("no step from {} {} (the runs have {} to {}). Others?", options_.from,
                              has_end ? fmt::format("to {}", options_.to) : "on", first, last));
  }

  void note_runs() {
    for (std::size_t run = 0; run < runs_.size(); ++run) {
      const RunRecords& records = runs_[run];
      if (records.steps().empty()) note(run, "no step was recorded yet");
      if (records.damaged_lines() > 0)
        note(run, fmt::format("{} no record of a step (damaged)",
                              counted(narrowed(records.damaged_lines()), "line is", "lines are")));
    }
  }

  void note(std::size_t run, const std::string& text) {
    picture_.notes.push_back(fmt::format("{}: {}", picture_.runs[run], text));
  }

  /// Losses of training and validation are compared: they share a plot.
  Plot& plot_for(const CurveText& text) {
    const bool is_shared = !picture_.plots.empty() && picture_.plots.back().unit == text.unit && *text.unit;
    if (is_shared)
      picture_.plots.back().title += fmt::format(" and {}", text.title);
    else
      picture_.plots.push_back({text.title, text.unit, {}, {}, {}});
    return picture_.plots.back();
  }

  /// What a run has in the place of a curve.
  Curve recorded(const RunRecords& run, Curve curve) const {
    const bool by_ranks = curve == Curve::expert_imbalance && !run.has(curve);
    return by_ranks && run.has(Curve::rank_imbalance) ? Curve::rank_imbalance : curve;
  }

  void add(Curve curve) {
    const bool is_there =
        any_has(curve) || (curve == Curve::expert_imbalance && any_has(Curve::rank_imbalance));
    const CurveText& text = text_of(curve);
    CARAVAN_CHECK(is_there || wait_ == RunRecords::Wait::yes, IoError,
                  fmt::format("no {} in {} (nothing recorded it: {}). Another --what, or later?", text.title,
                              fmt::join(picture_.runs, ", "), text.remedy));
    Plot& plot = plot_for(text);
    for (std::size_t run = 0; run < runs_.size(); ++run) add(plot, run, recorded(runs_[run], curve));
  }

  void add(Plot& plot, std::size_t run, Curve curve) {
    const char* title = text_of(curve).title;
    LeftOut left_out;
    Series series{run, curve, points_of(runs_[run], curve, options_, left_out)};
    if (!runs_[run].has(curve))
      note(run, fmt::format("no {} ({})", title, text_of(curve).remedy));
    else if (series.points.empty())
      note(run, fmt::format("no {} in the steps that are drawn", title));
    if (curve == Curve::rank_imbalance) note(run, "the balance is that of ranks (metrics.expert_counts)");
    if (left_out.not_finite > 0)
      note(run,
           fmt::format("{} not finite in {} (gaps)", title, counted(narrowed(left_out.not_finite), "step")));
    if (left_out.not_positive > 0)
      note(run, fmt::format("{} not above 0 in {} (gaps of a logarithmic axis)", title,
                            counted(narrowed(left_out.not_positive), "step")));
    plot.series.push_back(std::move(series));
  }

  const std::vector<RunRecords>& runs_;
  const PictureOptions& options_;
  RunRecords::Wait wait_;
  Picture picture_;
};

}  // namespace

char letter_of(std::size_t run) {
  return static_cast<char>('a' + run);
}

Picture make_picture(const std::vector<RunRecords>& runs, const PictureOptions& options,
                     RunRecords::Wait wait) {
  return Maker(runs, options, wait).picture();
}

}  // namespace caravan::jobs
