#include "jobs/inspect/experts_svg.hpp"

#include <algorithm>
#include <cmath>

#include "jobs/drawing/axis.hpp"
#include "jobs/drawing/colour.hpp"
#include "jobs/drawing/svg_page.hpp"

namespace caravan::jobs {
namespace {

constexpr double kLeft = 60, kHead = 62, kTitle = 24, kScale = 52, kGap = 22;
constexpr const char* kNumbers = "#555";

/// What one map shows of a layer.
struct MapOf {
  std::string title;
  std::vector<std::vector<double>> rows;  ///< a layer each; empty where nothing is known
  double centre = 0;                      ///< white; on both sides a colour
  bool is_share = false;                  ///< never below zero
};

/// How far colours reach to both sides of the centre.
struct Reach {
  double below = 1, above = 1;

  /// -1 at the lower end, 0 at the centre, 1 at the upper end.
  double share_of(double off) const { return off < 0 ? off / below : off / above; }
  double off_of(double share) const { return share < 0 ? share * below : share * above; }
};

/// To the farthest from the centre; the same on both sides, but for shares from zero on.
Reach reach_of(const MapOf& map) {
  double reach = 0;
  for (const auto& row : map.rows) {
    for (const double value : row) {
      if (std::isfinite(value)) reach = std::max(reach, std::abs(value - map.centre));
    }
  }
  if (reach == 0) reach = 1;
  return {map.is_share ? map.centre : reach, reach};
}

/// Blue below the centre, orange above.
Colour colour_at(double share) {
  constexpr Colour kBelow{32, 84, 147}, kAbove{200, 98, 8};
  return lighter(share < 0 ? kBelow : kAbove, 1 - std::min(1.0, std::abs(share)));
}

class Drawing {
 public:
  Drawing(const Experts& experts, const std::vector<MapOf>& maps)
      : experts_(experts), cell_(cell_size(experts)), page_(width(), height(maps.size())) {}

  void head(const std::string& path) {
    page_.title("Experts");
    page_.subtitle(path);
  }

  void map(const MapOf& map) {
    const Reach reach = reach_of(map);
    page_.text({kLeft, y_ + 12, "start", "#222", 12, width() - kLeft - 12}, map.title);
    y_ += kTitle;
    for (std::size_t row = 0; row < map.rows.size(); ++row) draw_row(map, row, reach);
    y_ += static_cast<double>(map.rows.size()) * cell_;
    draw_scale(map, reach);
    y_ += kScale + kGap;
  }

  std::string finish() && { return std::move(page_).finish(); }

 private:
  static std::size_t most_experts(const Experts& experts) {
    std::size_t most = 1;
    for (const ExpertLayer& layer : experts.layers) most = std::max(most, layer.experts());
    return most;
  }
  static double cell_size(const Experts& experts) {
    return std::clamp(900.0 / static_cast<double>(most_experts(experts)), 6.0, 24.0);
  }
  double width() const {
    return std::max(480.0, kLeft + static_cast<double>(most_experts(experts_)) * cell_ + kGap);
  }
  double height(std::size_t maps) const {
    const double rows = static_cast<double>(experts_.layers.size()) * cell_;
    return kHead + static_cast<double>(maps) * (kTitle + rows + kScale + kGap);
  }

  void draw_row(const MapOf& map, std::size_t row, const Reach& reach) {
    const double y = y_ + static_cast<double>(row) * cell_;
    const std::size_t every = static_cast<std::size_t>(std::ceil(13 / cell_));
    if (row % every == 0)
      page_.text({kLeft - 6, y + cell_ / 2 + 4, "end", kNumbers, 10},
                 std::to_string(experts_.layers[row].layer));
    for (std::size_t expert = 0; expert < map.rows[row].size(); ++expert) {
      const double value = map.rows[row][expert];
      page_.add(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" stroke=\"#ddd\" "
          "stroke-width=\"0.4\"><title>layer {}, expert {}: {}</title></rect>\n",
          kLeft + static_cast<double>(expert) * cell_, y, cell_, cell_,
          std::isfinite(value) ? hex(colour_at(reach.share_of(value - map.centre))) : "#d00",
          experts_.layers[row].layer, expert, number_text(value));
    }
  }

  /// Experts below the map, and what its colours mean.
  void draw_scale(const MapOf& map, const Reach& reach) {
    constexpr int kSteps = 40;
    constexpr double kWide = 200, kHigh = 9;
    const std::size_t most = most_experts(experts_);
    const auto every = static_cast<std::size_t>(std::max(1.0, tick_distance(static_cast<double>(most), 16)));
    for (std::size_t expert = 0; expert < most; expert += every)
      page_.text({kLeft + (static_cast<double>(expert) + 0.5) * cell_, y_ + 13, "middle", kNumbers, 10},
                 std::to_string(expert));
    page_.text({kLeft - 6, y_ + 13, "end", kNumbers, 10}, "expert");
    const double top = y_ + 24;
    for (int i = 0; i < kSteps; ++i) {
      const double share = (2.0 * i + 1) / kSteps - 1;
      page_.add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n",
                kLeft + i * kWide / kSteps, top, kWide / kSteps + 0.3, kHigh, hex(colour_at(share)));
    }
    const auto number = [&](double share, const char* anchor) {
      page_.text({kLeft + (share + 1) / 2 * kWide, top + kHigh + 12, anchor, kNumbers, 10},
                 number_text(map.centre + reach.off_of(share)));
    };
    number(-1, "start");
    number(0, "middle");
    number(1, "end");
  }

  const Experts& experts_;
  double cell_;
  SvgPage page_;
  double y_ = kHead;
};

std::vector<double> divided_by_mean(std::vector<double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(std::max<std::size_t>(1, values.size()));
  for (double& value : values) value = mean > 0 ? value / mean : 0;
  return values;
}

std::vector<MapOf> maps_of(const Experts& experts) {
  MapOf bias{"Bias (rows: layers)", {}, 0, false},
      tokens{"Tokens / mean of the layer (1: even)", {}, 1, true},
      weights{"Root mean square of the weights / mean of the layer", {}, 1, true};
  for (const ExpertLayer& layer : experts.layers) {
    bias.rows.push_back(layer.bias);
    tokens.rows.push_back(divided_by_mean(layer.tokens));
    weights.rows.push_back(divided_by_mean(layer.rms));
  }
  const auto knows = [](const MapOf& map) {
    return std::any_of(map.rows.begin(), map.rows.end(), [](const auto& row) { return !row.empty(); });
  };
  std::vector<MapOf> maps;
  for (MapOf* map : {&bias, &tokens, &weights}) {
    if (knows(*map)) maps.push_back(std::move(*map));
  }
  return maps;
}

}  // namespace

std::string draw_experts_svg(const std::string& path, const Experts& experts) {
  const std::vector<MapOf> maps = maps_of(experts);
  Drawing drawing(experts, maps);
  drawing.head(path);
  for (const MapOf& map : maps) drawing.map(map);
  return std::move(drawing).finish();
}

}  // namespace caravan::jobs
