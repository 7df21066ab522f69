#include "jobs/schedule/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "core/plan/action_text.hpp"
#include "core/plan/for_each_action.hpp"
#include "jobs/schedule/paint.hpp"
#include "jobs/schedule/spans.hpp"

namespace caravan::jobs {
namespace {

constexpr double kMostCells = 8192;
constexpr int kMostRanks = 64;
constexpr const char* kReset = "\033[0m";
constexpr int kIdle = -1;

/// Letter, micro-batch and a space.
std::size_t cell_width_of(const Plan& plan) {
  int most = 0;
  for_each_action(plan,
                  [&](int, std::size_t, const Action& action) { most = std::max(most, action.microbatch); });
  return std::to_string(most).size() + 2;
}

/// One rank as characters, each with its colour: twice the Paint, and one more for later stages.
struct Line {
  std::string text;
  std::vector<int> colours;
};

class Chart {
 public:
  Chart(const Plan& plan, const Timeline& timeline, const Caption& caption, const TextStyle& style)
      : plan_(plan),
        timeline_(timeline),
        caption_(caption),
        style_(style),
        shades_(plan),
        unit_(shortest_span(timeline)) {}

  bool is_too_large() const {
    return plan_.ranks() > kMostRanks || !(timeline_.makespan / unit_ * plan_.ranks() <= kMostCells);
  }

  std::string draw() {
    cell_ = cell_width_of(plan_);
    const std::size_t label = fmt::formatted_size("rank {} ", plan_.ranks() - 1);
    const auto columns = static_cast<std::size_t>(std::max(style_.columns, 40));
    const std::size_t panel = std::max<std::size_t>((columns - label) / cell_, 1) * cell_;
    const std::size_t width = column_of(timeline_.makespan);
    std::vector<Line> lines;
    for (std::size_t rank = 0; rank < plan_.steps.size(); ++rank) lines.push_back(line(rank, width));
    std::string text;
    for (std::size_t from = 0; from < width; from += panel) {
      if (width > panel)
        text += fmt::format("{:{}}from {:.6g} {}\n", "", label, static_cast<double>(from / cell_) * unit_,
                            caption_.unit);
      for (std::size_t rank = 0; rank < lines.size(); ++rank)
        append(text, fmt::format("{:<{}}", fmt::format("rank {}", rank), label), lines[rank], from, panel);
    }
    return text;
  }

 private:
  std::size_t column_of(double time) const {
    return static_cast<std::size_t>(std::llround(time / unit_)) * cell_;
  }

  Line line(std::size_t rank, std::size_t width) const {
    Line line{std::string(width, ' '), std::vector<int>(width, kIdle)};
    for (std::size_t i = 0; i < plan_.steps[rank].size(); ++i) {
      const Span& span = timeline_.spans.at(rank).at(i);
      const std::size_t begin = column_of(span.begin), end = std::min(column_of(span.end), width);
      if (end > begin) put(line, plan_.steps[rank][i], begin, end - begin);
    }
    return line;
  }

  void put(Line& line, const Step& step, std::size_t begin, std::size_t size) const {
    std::string label = label_of(step.action);
    if (step.overlapped) label += label_of(*step.overlapped);
    const Paint paint = step.overlapped ? Paint::overlap : paint_of(step.action.kind);
    label = label.substr(0, size);
    line.text.replace(begin, label.size(), label);
    // Without colours, a line shows how long the step is.
    const std::size_t dashes_end = style_.ink == Ink::plain && size > cell_ ? begin + size - 1 : 0;
    for (std::size_t i = begin + label.size(); i < dashes_end; ++i) line.text[i] = '-';
    const int colour = 2 * static_cast<int>(paint) + (shades_.of(step.action.stage) > 0 ? 1 : 0);
    std::fill_n(line.colours.begin() + static_cast<std::ptrdiff_t>(begin), size, colour);
  }

  std::string label_of(const Action& action) const {
    const char letter = name_of(action.kind).front();
    const bool is_later = shades_.of(action.stage) > 0;
    const std::string number = action.microbatch == kNoMicrobatch ? "" : std::to_string(action.microbatch);
    return static_cast<char>(is_later ? std::tolower(letter) : letter) + number;
  }

  void append(std::string& text, const std::string& label, const Line& line, std::size_t from,
              std::size_t size) const {
    text += label;
    if (style_.ink == Ink::plain) {
      const std::string part = line.text.substr(from, size);
      text.append(part, 0, part.find_last_not_of(' ') + 1);
    } else {
      append_coloured(text, line, from, std::min(from + size, line.text.size()));
    }
    text += '\n';
  }

  static void append_coloured(std::string& text, const Line& line, std::size_t from, std::size_t end) {
    int colour = kIdle;
    for (std::size_t i = from; i < end; ++i) {
      if (line.colours[i] != colour) {
        colour = line.colours[i];
        text += colour == kIdle ? kReset : terminal_colour_of(static_cast<Paint>(colour / 2), colour % 2);
      }
      text += line.text[i];
    }
    text += kReset;
  }

  const Plan& plan_;
  const Timeline& timeline_;
  const Caption& caption_;
  TextStyle style_;
  Shades shades_;
  double unit_;
  std::size_t cell_ = 0;
};

}  // namespace

std::string draw_text(const Plan& plan, const Timeline& timeline, const Caption& caption,
                      const TextStyle& style) {
  Chart chart(plan, timeline, caption, style);
  return chart.is_too_large() ? "" : chart.draw();
}

}  // namespace caravan::jobs
