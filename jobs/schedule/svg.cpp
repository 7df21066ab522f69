#include "jobs/schedule/svg.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "caravan/check.hpp"
#include "jobs/drawing/axis.hpp"
#include "jobs/drawing/svg_page.hpp"
#include "jobs/schedule/paint.hpp"
#include "jobs/schedule/spans.hpp"
#include "jobs/schedule/summary.hpp"
#include "jobs/schedule/time_unit.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kMostSteps = 100'000;
constexpr double kLeft = 104, kTop = 62, kRight = 16, kGap = 4, kAxis = 26, kLegendRow = 20;
constexpr const char* kIdleColour = "#ececec";
constexpr double kDigit = 6.4;  // width of a digit of that size
constexpr const char *kGatherColour = "#334155", *kReductionColour = "#c026d3", *kRowsColour = "#0d9488";
constexpr double kLaneBar = 4;            // height of an exchange below its rank's row
constexpr std::size_t kMostLaneRows = 8;  // a pipeline gathers all groups of a stage at once

std::string stages_text(const std::vector<int>& stages) {
  constexpr std::size_t kMost = 3;
  const std::string more = stages.size() > kMost ? " …" : "";
  const auto end = stages.begin() + static_cast<std::ptrdiff_t>(std::min(stages.size(), kMost));
  return fmt::format("stage{} {}{}", stages.size() == 1 ? "" : "s", fmt::join(stages.begin(), end, " "),
                     more);
}

/// What is drawn of a step.
struct Subject {
  const Plan& plan;
  const Timeline& timeline;
  const std::vector<StepDetails>& details;

  bool has_exchanges(bool of_parameters) const {
    const auto is_such = [&](const auto& item) { return (item.lane == Lane::shard) == of_parameters; };
    return std::any_of(details.begin(), details.end(), [&](const StepDetails& each) {
      return std::any_of(each.exchanges.begin(), each.exchanges.end(), is_such);
    });
  }
  /// Sums of gradients may end after the last action.
  double end() const {
    double end = timeline.makespan;
    for (const StepDetails& rank : details)
      for (const StepDetails::Item& exchange : rank.exchanges) end = std::max(end, exchange.span.end);
    return end;
  }
  /// Where exchanges of a rank are drawn; those beyond the last row lie on it.
  static std::vector<std::size_t> lane_rows(const StepDetails& rank) {
    std::vector<std::size_t> rows = rows_of(rank.exchanges);
    for (std::size_t& row : rows) row = std::min(row, kMostLaneRows - 1);
    return rows;
  }
  /// Rows that the exchanges of any rank take.
  double lane_rows() const {
    std::size_t most = 0;
    for (const StepDetails& rank : details)
      for (const std::size_t row : lane_rows(rank)) most = std::max(most, row + 1);
    return static_cast<double>(most);
  }
};

/// How time and ranks become points of the picture.
struct Scale {
  explicit Scale(const Subject& subject) : ranks(subject.plan.ranks()), end(subject.end()) {
    constexpr double kNarrowest = 760, kWidest = 1680, kReadable = 24;
    width = std::clamp(kReadable * end / shortest_span(subject.timeline), kNarrowest, kWidest);
    row = std::clamp(1600.0 / ranks, 6.0, 32.0);
    pitch = row + kGap + subject.lane_rows() * kLaneBar;
  }
  double x(double time) const { return kLeft + (end > 0 ? time / end * width : 0); }
  double y(std::size_t rank) const { return kTop + static_cast<double>(rank) * pitch; }
  double bottom() const { return kTop + ranks * pitch - kGap; }

  int ranks;
  double end, width = 0, row = 0, pitch = 0;
};

struct Box {
  double x, y, width, height;
};

class PlanPicture {
 public:
  PlanPicture(const Subject& subject, const Caption& caption)
      : subject_(subject),
        plan_(subject.plan),
        timeline_(subject.timeline),
        caption_(caption),
        unit_(readable_unit(caption.unit, timeline_.makespan)),
        scale_(subject),
        placement_(placement_of(plan_)),
        shades_(plan_) {}

  std::string draw() && {
    legend();
    begin();
    for (std::size_t rank = 0; rank < plan_.steps.size(); ++rank) row(rank);
    for (std::size_t rank = 0; rank < subject_.details.size(); ++rank) lane(rank);
    axis();
    add("{}", legend_);
    return (*std::move(page_)).finish();
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    page_->add(format, std::forward<Args>(args)...);
  }

  void begin() {
    const double width = kLeft + scale_.width + kRight, height = legend_y_ + kLegendRow + 4;
    page_.emplace(width, height);
    page_->title(caption_.title);
    page_->subtitle(fmt::format("bubble {} · makespan {:.6g} {} · peak stashes {}",
                                percent_text(timeline_.bubble()), timeline_.makespan * unit_.count,
                                unit_.name, peak_text(peak_stashes(plan_))));
  }

  void row(std::size_t rank) {
    const double y = scale_.y(rank);
    add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", kLeft, y,
        scale_.width, scale_.row, kIdleColour);
    const bool has_space = scale_.row >= 26;
    add("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\" font-size=\"{:.1f}\">rank {}</text>\n", kLeft - 8,
        y + scale_.row / 2 + (has_space ? -1 : 4), std::min(12.0, scale_.row + 2), rank);
    if (has_space)
      page_->text({kLeft - 8, y + scale_.row / 2 + 11, "end", "#777", 9, kLeft - 12},
                  stages_text(placement_.stages_of[rank]));
    const std::vector<Span>& spans = timeline_.spans.at(rank);
    for (std::size_t i = 0; i < plan_.steps[rank].size(); ++i) step(rank, plan_.steps[rank][i], spans.at(i));
  }

  void step(std::size_t rank, const Step& step, const Span& span) {
    if (span.end <= span.begin) return;
    const double x = scale_.x(span.begin), y = scale_.y(rank);
    const Box box{x, y, scale_.x(span.end) - x, scale_.row};
    add("<g><title>rank {}: {}, {:.6g} to {:.6g} {}</title>", rank, to_string(step), span.begin * unit_.count,
        span.end * unit_.count, unit_.name);
    if (step.overlapped) {
      const double half = box.height / 2;
      cell(step.action, Paint::overlap, {box.x, box.y, box.width, half});
      cell(*step.overlapped, Paint::overlap, {box.x, box.y + half, box.width, half});
    } else {
      cell(step.action, paint_of(step.action.kind), box);
    }
    add("</g>\n");
  }

  /// The exchanges of a rank, below its row.
  void lane(std::size_t rank) {
    const std::vector<StepDetails::Item>& exchanges = subject_.details[rank].exchanges;
    const std::vector<std::size_t> rows = Subject::lane_rows(subject_.details[rank]);
    for (std::size_t index = 0; index < rows.size(); ++index) {
      const StepDetails::Item& item = exchanges[index];
      const double x = scale_.x(item.span.begin), width = scale_.x(item.span.end) - x,
                   y = scale_.y(rank) + scale_.row + 1 + static_cast<double>(rows[index]) * kLaneBar;
      add("<g><title>rank {}: {}, {:.6g} to {:.6g} {}</title><rect x=\"{:.2f}\" y=\"{:.2f}\" "
          "width=\"{:.2f}\" height=\"{:.1f}\" fill=\"{}\"/></g>\n",
          rank, escaped(item.title()), item.span.begin * unit_.count, item.span.end * unit_.count, unit_.name,
          x, y, std::max(width, 0.5), kLaneBar - 1, lane_colour(item));
    }
  }
  static const char* lane_colour(const StepDetails::Item& exchange) {
    if (exchange.lane != Lane::shard) return kRowsColour;
    return exchange.kind == ActionKind::unshard ? kGatherColour : kReductionColour;
  }

  void cell(const Action& action, Paint paint, const Box& box) {
    const Colour colour = colour_of(paint, shades_.of(action.stage));
    add("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"{}\" stroke=\"#fff\" "
        "stroke-width=\"{}\"/>",
        box.x, box.y, box.width, box.height, hex(colour), box.width > 6 ? 0.8 : 0.2);
    const std::string number = action.microbatch == kNoMicrobatch ? "" : std::to_string(action.microbatch);
    const bool fits =
        static_cast<double>(number.size()) * kDigit + 3 <= box.width && box.height >= SvgPage::kFont + 1;
    if (number.empty() || !fits) return;
    add("<text x=\"{:.2f}\" y=\"{:.2f}\" text-anchor=\"middle\" fill=\"{}\">{}</text>", box.x + box.width / 2,
        box.y + box.height / 2 + 4, ink_on(colour), number);
  }

  void axis() {
    constexpr int kTicks = 12;
    const double end = scale_.end * unit_.count, tick = tick_distance(end, kTicks);
    page_->text({kLeft - 8, scale_.bottom() + 17, "end", "#666", SvgPage::kFont, kLeft - 12}, unit_.name);
    for (int i = 0; i * tick <= end && i < 100; ++i) {
      add("<path d=\"M{0:.1f} {1:.1f}v4\" stroke=\"#666\"/><text x=\"{0:.1f}\" y=\"{2:.1f}\" fill=\"#666\" "
          "text-anchor=\"middle\">{3:.6g}</text>\n",
          scale_.x(i * tick / unit_.count), scale_.bottom() + 1, scale_.bottom() + 17, i * tick);
    }
  }

  bool has(Paint paint) const {
    for (std::size_t rank = 0; rank < plan_.steps.size(); ++rank) {
      for (std::size_t i = 0; i < plan_.steps[rank].size(); ++i) {
        const Step& step = plan_.steps[rank][i];
        const Span& span = timeline_.spans[rank][i];
        const Paint seen = step.overlapped ? Paint::overlap : paint_of(step.action.kind);
        if (seen == paint && span.end > span.begin) return true;
      }
    }
    return false;
  }

  void legend() {
    legend_x_ = kLeft;
    legend_y_ = scale_.bottom() + kAxis + 6;
    for (int i = 0; i < kNumPaints; ++i) {
      const auto paint = static_cast<Paint>(i);
      if (has(paint)) legend_entry(hex(colour_of(paint, 0)), description_of(paint));
    }
    legend_entry(kIdleColour, "idle");
    const auto& stages = placement_.stages_of;
    if (std::any_of(stages.begin(), stages.end(), [](const auto& own) { return own.size() > 1; }))
      legend_entry(hex(colour_of(Paint::forward, 1)), "lighter: later stages of a rank");
    if (subject_.has_exchanges(true)) {
      legend_entry(kGatherColour, "below: gathers");
      legend_entry(kReductionColour, "below: sums of gradients");
    }
    if (subject_.has_exchanges(false)) legend_entry(kRowsColour, "below: rows between ranks");
    legend_entry("none", "numbers: micro-batch");
  }

  void legend_entry(const std::string& colour, const std::string& text) {
    const double width = 28 + static_cast<double>(text.size()) * 6.1;
    if (legend_x_ + width > kLeft + scale_.width) {
      legend_x_ = kLeft;
      legend_y_ += kLegendRow;
    }
    fmt::format_to(std::back_inserter(legend_),
                   "<rect x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"12\" height=\"12\" fill=\"{2}\"/>"
                   "<text x=\"{3:.1f}\" y=\"{4:.1f}\" fill=\"#444\">{5}</text>\n",
                   legend_x_, legend_y_, colour, legend_x_ + 16, legend_y_ + 10, text);
    legend_x_ += width;
  }

  const Subject& subject_;
  const Plan& plan_;
  const Timeline& timeline_;
  const Caption& caption_;
  TimeUnit unit_;
  Scale scale_;
  Placement placement_;
  Shades shades_;
  std::optional<SvgPage> page_;  // once its size is known
  std::string legend_;
  double legend_x_ = 0, legend_y_ = 0;
};

}  // namespace

std::string draw_svg(const Plan& plan, const Timeline& timeline, const Caption& caption,
                     const std::vector<StepDetails>& details) {
  std::size_t steps = 0;
  for (const std::vector<Step>& row : plan.steps) steps += row.size();
  CARAVAN_CHECK(
      steps <= kMostSteps, ConfigError,
      fmt::format("a picture of {} steps (at most {}). Draw fewer ranks or micro-batches, or write a trace?",
                  steps, kMostSteps));
  const Subject subject{plan, timeline, details};
  return PlanPicture(subject, caption).draw();
}

}  // namespace caravan::jobs
