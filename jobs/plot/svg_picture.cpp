#include "jobs/plot/svg_picture.hpp"

#include <fmt/format.h>

#include <cmath>

#include "jobs/drawing/svg_page.hpp"
#include "jobs/plot/legend.hpp"
#include "jobs/plot/series.hpp"

namespace caravan::jobs {
namespace {

constexpr double kWidth = 900, kPlotHeight = 240, kMargin = 24, kHead = 34, kRow = 18;

class Drawing {
 public:
  explicit Drawing(const Picture& picture) : picture_(picture), page_(kWidth, height(picture)) {}

  std::string text() && {
    page_.title(title());
    for (std::size_t run = 0; run < picture_.runs.size(); ++run) legend(run);
    for (const std::string& note : picture_.notes) {
      page_.text({kMargin / 2, y_ + 12, "start", "#777", SvgPage::kFont, kWidth - kMargin}, note);
      y_ += kRow;
    }
    for (const Plot& plot : picture_.plots) draw(plot);
    return std::move(page_).finish();
  }

 private:
  static double height(const Picture& picture) {
    const auto lines = static_cast<double>(picture.runs.size() + picture.notes.size());
    const auto plots = static_cast<double>(picture.plots.size());
    return kHead + lines * kRow + plots * (Panel::kTop + kPlotHeight + Panel::kBottom) + kMargin;
  }

  std::string title() const {
    std::string title;
    for (const Plot& plot : picture_.plots) title += (title.empty() ? "" : ", ") + plot.title;
    return title;
  }

  void legend(std::size_t run) {
    page_.add("<path d=\"M{0:.1f} {1:.1f}h20\" stroke=\"{2}\" stroke-width=\"3\"/>\n", kMargin / 2, y_ + 8,
              hex(series_colour(run)));
    page_.text({kMargin / 2 + 28, y_ + 12, "start", "#222", SvgPage::kFont, kWidth - kMargin - 28},
               fmt::format("{} {}: {}", letter_of(run), picture_.runs[run], last_values(picture_, run)));
    y_ += kRow;
  }

  void draw(const Plot& plot) {
    y_ += Panel::kTop;
    Panel panel(
        page_,
        {Panel::kLeft, y_, kWidth - Panel::kLeft - kMargin, kPlotHeight, plot.title, plot.unit, "step", ""},
        plot.x, plot.y);
    for (const Series& series : plot.series) draw(panel, series);
    y_ += kPlotHeight + Panel::kBottom;
  }

  void draw(Panel& panel, const Series& series) {
    const std::string hint = fmt::format("{} {}, {}", letter_of(series.run), picture_.runs[series.run],
                                         text_of(series.curve).title);
    const Colour colour = series_colour(series.run);
    const Points points = thinned(series.points, static_cast<std::size_t>(kWidth));
    if (!series.is_sparse()) {
      panel.line(points, lighter(colour, 0.25), hint);
      return;
    }
    Points stretch;
    for (const auto& point : points) {
      if (std::isfinite(point.second)) stretch.push_back(point);
      if (std::isfinite(point.second) || stretch.empty()) continue;
      panel.curve(stretch, colour, hint);
      stretch.clear();
    }
    if (!stretch.empty()) panel.curve(stretch, colour, hint);
  }

  const Picture& picture_;
  SvgPage page_;
  double y_ = kHead;
};

}  // namespace

std::string draw_svg(const Picture& picture) {
  return Drawing(picture).text();
}

}  // namespace caravan::jobs
