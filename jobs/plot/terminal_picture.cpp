#include "jobs/plot/terminal_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <sstream>

#include "jobs/drawing/tone.hpp"
#include "jobs/plot/legend.hpp"

namespace caravan::jobs {
namespace {

constexpr int kLeastRows = 5, kLeastColumns = 10;
/// Title, axis and numbers.
constexpr int kRowsAround = 3;
constexpr double kDotsBetweenMarks = 8;

char capital(char letter) {
  return static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
}

/// Cut at its end.
std::string cut(const std::string& text, int columns) {
  std::string kept;
  int width = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && ++width > columns) break;
    kept += text[at];
  }
  return kept;
}

/// Words in lines of at most so many columns, all but the first of them behind two blanks; what is longer
/// than a line is cut.
std::string wrapped(const std::string& text, int columns) {
  std::istringstream words(text);
  std::string lines, line, word;
  while (words >> word) {
    const bool fits = static_cast<int>(display_width(line) + 1 + display_width(word)) <= columns;
    if (!line.empty() && !fits) {
      lines += cut(line, columns) + "\n";
      line = " ";
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return lines + cut(line, columns) + "\n";
}

/// Numbers at the ticks of the axis on the left, as wide as the widest.
class LeftAxis {
 public:
  LeftAxis(const Axis& axis, int rows) : labels_(static_cast<std::size_t>(rows)) {
    for (const double tick : axis.ticks()) {
      std::string& label = labels_.at(static_cast<std::size_t>(std::lround(axis.at(tick))) / 4);
      if (label.empty()) label = tick_text(tick);
      width_ = std::max(width_, label.size());
    }
  }
  int width() const noexcept { return static_cast<int>(width_); }
  std::string row(int row, bool is_utf8) const {
    const std::string& label = labels_.at(static_cast<std::size_t>(row));
    const char* line = label.empty() ? (is_utf8 ? "│" : "|") : (is_utf8 ? "┤" : "+");
    return fmt::format("{:>{}} {}", label, width_, line);
  }

 private:
  std::vector<std::string> labels_;
  std::size_t width_ = 0;
};

/// The line below the canvas, and numbers below it.
std::string bottom_axis(const Axis& axis, int columns, int indent, bool is_utf8) {
  std::vector<std::string> line(static_cast<std::size_t>(columns), is_utf8 ? "─" : "-");
  std::string numbers(static_cast<std::size_t>(indent + 1 + columns), ' ');
  std::size_t free = 0;
  for (const double tick : axis.ticks()) {
    const auto column = static_cast<std::size_t>(std::lround(axis.at(tick))) / 2;
    line.at(column) = is_utf8 ? "┬" : "+";
    const std::string text = tick_text(tick);
    const std::size_t middle = static_cast<std::size_t>(indent) + 1 + column;
    const std::size_t begin =
        std::min(middle - std::min(middle, text.size() / 2), numbers.size() - text.size());
    if (begin < free) continue;
    numbers.replace(begin, text.size(), text);
    free = begin + text.size() + 1;
  }
  std::string drawn = std::string(static_cast<std::size_t>(indent), ' ') + (is_utf8 ? "└" : "+");
  for (const std::string& piece : line) drawn += piece;
  numbers.erase(numbers.find_last_not_of(' ') + 1);
  return drawn + "\n" + numbers + "\n";
}

/// One plot in its lines.
class PlotText {
 public:
  PlotText(const Plot& plot, std::size_t runs, int columns, int rows, const CanvasStyle& style)
      : plot_(plot),
        style_(style),
        y_(plot.y.kind, plot.y.limits, 4 * rows - 1, 0, std::clamp(rows / 3, 2, Axis::kMostTicks)),
        left_(y_, rows),
        columns_(std::max(columns - left_.width() - 2, kLeastColumns)),
        rows_(rows),
        x_(plot.x.kind, plot.x.limits, 0, 2 * columns_ - 1, std::clamp(columns_ / 10, 2, Axis::kMostTicks)),
        canvas_(columns_, rows),
        is_one_of_many_(runs > 1) {
    const bool is_seen_by_colour = style.is_coloured || runs == 1;
    if (style.is_utf8 && is_seen_by_colour) return;
    for (std::size_t run = 0; run < runs; ++run) signs_ += runs == 1 ? '*' : letter_of(run);
  }

  std::string text(int width) {
    for (const bool is_sparse : {false, true}) {  // marks over lines
      for (const Series& series : plot_.series) {
        if (series.is_sparse() == is_sparse) draw(series);
      }
    }
    std::string text = cut(title(), width) + "\n";
    for (int row = 0; row < rows_; ++row) {
      std::string line = left_.row(row, style_.is_utf8) + canvas_.row(row, style_, signs_);
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text + bottom_axis(x_, columns_, left_.width() + 1, style_.is_utf8);
  }

 private:
  std::string title() const {
    const bool has_marks = std::any_of(plot_.series.begin(), plot_.series.end(),
                                       [](const Series& series) { return series.is_sparse(); });
    std::string title = plot_.title + (has_marks ? " (capitals)" : "");
    if (!plot_.unit.empty()) title += ", " + plot_.unit;
    if (plot_.y.kind == Axis::Kind::positive) title += ", logarithmic";
    return title + ", by step";
  }

  void draw(const Series& series) { series.is_sparse() ? draw_marks(series) : draw_line(series); }

  void draw_line(const Series& series) {
    const std::pair<double, double>* before = nullptr;
    for (const auto& point : series.points) {
      const auto& from = before ? *before : point;
      const bool is_drawn = std::isfinite(point.second);
      if (is_drawn)
        canvas_.line(x_.at(from.first), y_.at(from.second), x_.at(point.first), y_.at(point.second),
                     series.run);
      before = is_drawn ? &point : nullptr;
    }
    if (before && is_one_of_many_) mark(*before, letter_of(series.run), series.run);
  }

  /// From the last one back, so far apart that the curve below is seen.
  void draw_marks(const Series& series) {
    double free = INFINITY;
    for (auto point = series.points.rbegin(); point != series.points.rend(); ++point) {
      if (!std::isfinite(point->second) || x_.at(point->first) > free) continue;
      mark(*point, capital(letter_of(series.run)), series.run);
      free = x_.at(point->first) - kDotsBetweenMarks;
    }
  }

  void mark(const std::pair<double, double>& point, char sign, std::size_t owner) {
    canvas_.mark(x_.at(point.first), y_.at(point.second), sign, owner);
  }

  const Plot& plot_;
  const CanvasStyle& style_;
  Axis y_;
  LeftAxis left_;
  int columns_, rows_;
  Axis x_;
  Canvas canvas_;
  std::string signs_;
  bool is_one_of_many_;  ///< whose curve ends with its letter
};

std::string legend(const Picture& picture, int columns, const CanvasStyle& style) {
  std::string text;
  for (std::size_t run = 0; run < picture.runs.size(); ++run) {
    const std::string sign(1, letter_of(run));
    const std::string line = fmt::format("{} {}: {}", sign, picture.runs[run], last_values(picture, run));
    text += in_series_colour(sign, run, style.is_coloured) + wrapped(line, columns).substr(1);
  }
  for (const std::string& note : picture.notes) text += wrapped("- " + note, columns);
  return text;
}

}  // namespace

std::string draw_text(const Picture& picture, const TerminalSize& size, const CanvasStyle& style) {
  const auto plots = static_cast<int>(std::max<std::size_t>(picture.plots.size(), 1));
  const auto below = static_cast<int>(picture.runs.size() + picture.notes.size());
  const int rows = std::max((size.rows - below) / plots - kRowsAround, kLeastRows);
  std::string text;
  for (const Plot& plot : picture.plots)
    text += PlotText(plot, picture.runs.size(), size.columns, rows, style).text(size.columns);
  return text + legend(picture, size.columns, style);
}

}  // namespace caravan::jobs
