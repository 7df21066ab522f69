#pragma once

#include <string>
#include <utility>
#include <vector>

#include "jobs/drawing/axis.hpp"
#include "jobs/drawing/colour.hpp"
#include "jobs/drawing/svg_page.hpp"

namespace caravan::jobs {

/// A rectangle of a page for data, in points; titles and numbers stand around it.
struct PanelFrame {
  double x, y, width, height;
  std::string title, subtitle;
  std::string x_label, y_label;
};

/// One axis of a panel: how it runs and what it must hold.
struct PanelScale {
  Axis::Kind kind = Axis::Kind::linear;
  Axis::Limits limits{};
};

/// Axes with marks, numbers and names, and data between them. Borrows the page.
class Panel {
 public:
  /// Room that a panel needs around its frame.
  static constexpr double kLeft = 64, kTop = 40, kBottom = 44;

  Panel(SvgPage& page, const PanelFrame& frame, const PanelScale& x, const PanelScale& y);

  /// From the lower edge of the panel to `height`; `hint` shows where the pointer rests.
  void bar(double from, double to, double height, const Colour& colour, const std::string& hint);
  /// Joined by lines; a point that is not finite is a gap.
  void line(const std::vector<std::pair<double, double>>& points, const Colour& colour,
            const std::string& hint);
  /// Points joined by lines.
  void curve(const std::vector<std::pair<double, double>>& points, const Colour& colour,
             const std::string& hint);

 private:
  void draw_x();
  void draw_y();

  SvgPage& page_;
  PanelFrame frame_;
  Axis x_, y_;
};

}  // namespace caravan::jobs
