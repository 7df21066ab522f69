#include "jobs/drawing/panel.hpp"

#include <cmath>

namespace caravan::jobs {
namespace {

constexpr const char* kGrid = "#e4e4e4";
constexpr const char* kFrame = "#888";
constexpr const char* kNumbers = "#555";

}  // namespace

Panel::Panel(SvgPage& page, const PanelFrame& frame, const PanelScale& x, const PanelScale& y)
    : page_(page),
      frame_(frame),
      x_(x.kind, x.limits, frame.x, frame.x + frame.width),
      y_(y.kind, y.limits, frame.y + frame.height, frame.y) {
  page_.text({frame_.x, frame_.y - 24, "start", "#222", 12, frame_.width}, frame_.title);
  page_.text({frame_.x, frame_.y - 9, "start", "#777", 10, frame_.width}, frame_.subtitle);
  draw_y();
  draw_x();
}

void Panel::draw_x() {
  const double bottom = frame_.y + frame_.height;
  for (const double tick : x_.ticks()) {
    page_.line(x_.at(tick), bottom, x_.at(tick), bottom + 4, kFrame);
    page_.text({x_.at(tick), bottom + 16, "middle", kNumbers}, tick_text(tick));
  }
  page_.line(frame_.x, bottom, frame_.x + frame_.width, bottom, kFrame);
  page_.text({frame_.x + frame_.width / 2, bottom + 32, "middle", kNumbers, SvgPage::kFont, frame_.width},
             frame_.x_label);
}

void Panel::draw_y() {
  for (const double tick : y_.ticks()) {
    page_.line(frame_.x, y_.at(tick), frame_.x + frame_.width, y_.at(tick), kGrid);
    page_.text({frame_.x - 6, y_.at(tick) + 4, "end", kNumbers}, tick_text(tick));
  }
  page_.line(frame_.x, frame_.y, frame_.x, frame_.y + frame_.height, kFrame);
  page_.text(
      {frame_.x - 52, frame_.y + frame_.height / 2, "middle", kNumbers, SvgPage::kFont, frame_.height, -90},
      frame_.y_label);
}

void Panel::bar(double from, double to, double height, const Colour& colour, const std::string& hint) {
  const double left = x_.at(from), top = y_.at(height);
  page_.add(
      "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" "
      "fill=\"{}\"><title>{}</title></rect>\n",
      left, top, x_.at(to) - left, frame_.y + frame_.height - top, hex(colour), escaped(hint));
}

void Panel::line(const std::vector<std::pair<double, double>>& points, const Colour& colour,
                 const std::string& hint) {
  std::string path;
  bool is_down = false;
  for (const auto& [x, y] : points) {
    if (std::isfinite(y))
      fmt::format_to(std::back_inserter(path), "{}{:.2f} {:.2f}", is_down ? "L" : "M", x_.at(x), y_.at(y));
    is_down = std::isfinite(y);
  }
  page_.add(
      "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\" stroke-linejoin=\"round\" "
      "stroke-linecap=\"round\"><title>{}</title></path>\n",
      path, hex(colour), escaped(hint));
}

void Panel::curve(const std::vector<std::pair<double, double>>& points, const Colour& colour,
                  const std::string& hint) {
  std::string path;
  for (const auto& [x, y] : points)
    path += fmt::format("{}{:.2f} {:.2f}", path.empty() ? "M" : "L", x_.at(x), y_.at(y));
  page_.add("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"><title>{}</title></path>\n",
            path, hex(colour), escaped(hint));
  for (const auto& [x, y] : points) {
    page_.add(
        "<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"2.4\" fill=\"{}\"><title>{}: {}, {}</title></circle>\n",
        x_.at(x), y_.at(y), hex(colour), escaped(hint), number_text(x), number_text(y));
  }
}

}  // namespace caravan::jobs
