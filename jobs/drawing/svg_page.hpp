#pragma once

#include <fmt/format.h>

#include <iterator>
#include <limits>
#include <string>
#include <utility>

namespace caravan::jobs {

/// Text for an SVG: markup is escaped, control characters become spaces.
std::string escaped(const std::string& text);

/// An SVG that grows by elements, in points.
class SvgPage {
 public:
  static constexpr double kFont = 11;

  /// White, with the font that every text has unless it says otherwise.
  SvgPage(double width, double height);

  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Args>(args)...);
  }
  /// Above everything; cut where the page is too narrow, whole where the pointer rests.
  void title(const std::string& text);
  void subtitle(const std::string& text);

  struct Label {
    double x, y;
    const char* anchor = "start";  ///< "start", "middle" or "end"
    const char* fill = "#444";
    double size = kFont;
    double room = std::numeric_limits<double>::infinity();  ///< points that it may take
    double turned = 0;                                      ///< degrees, around its point
  };
  /// Cut where it takes more than its room, whole where the pointer rests.
  void text(const Label& label, const std::string& text);
  /// From (x1, y1) to (x2, y2).
  void line(double x1, double y1, double x2, double y2, const char* stroke);

  std::string finish() &&;

 private:
  void heading(double y, double size, const char* weight, const std::string& text);

  double width_;
  std::string svg_;
};

}  // namespace caravan::jobs
