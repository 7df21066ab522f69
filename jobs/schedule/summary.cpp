#include "jobs/schedule/summary.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace caravan::jobs {
namespace {

constexpr std::size_t kMostListed = 16;

std::size_t steps_of(const Plan& plan) {
  std::size_t count = 0;
  for (const std::vector<Step>& row : plan.steps) count += row.size();
  return count;
}

std::string placement_text(const Placement& placement) {
  const auto& stages_of = placement.stages_of;
  std::string text;
  for (std::size_t rank = 0; rank < stages_of.size(); ++rank) {
    const bool is_listed = stages_of.size() <= kMostListed || rank < 4 || rank + 1 == stages_of.size();
    if (is_listed) text += fmt::format("{}{}", rank == 0 ? "" : " | ", fmt::join(stages_of[rank], " "));
    if (!is_listed && rank == 4) text += " | …";
  }
  return text;
}

std::vector<double> idle_of(const Timeline& timeline) {
  std::vector<double> idle;
  for (std::size_t rank = 0; rank < timeline.spans.size(); ++rank)
    idle.push_back(timeline.idle(static_cast<int>(rank)));
  return idle;
}

}  // namespace

std::string percent_text(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

std::string peak_text(const std::vector<int>& peaks) {
  if (peaks.size() <= kMostListed) return fmt::format("{}", fmt::join(peaks, " "));
  if (std::equal(peaks.begin() + 1, peaks.end(), peaks.begin()))
    return fmt::format("{} (every rank)", peaks[0]);
  const auto [least, most] = std::minmax_element(peaks.begin(), peaks.end());
  return fmt::format("at most {} (rank {}), at least {} (rank {})", *most, most - peaks.begin(), *least,
                     least - peaks.begin());
}

std::string summary_text(const Plan& plan, const Timeline& timeline, const Caption& caption) {
  const Placement placement = placement_of(plan);
  return fmt::format(
      "{}\n"
      "steps         {}\n"
      "stages        {} (of each rank: {})\n"
      "makespan      {:.6g} {}\n"
      "bubble        {}\n"
      "peak stashes  {}\n",
      caption.title, steps_of(plan), placement.stages(), placement_text(placement), timeline.makespan,
      caption.unit, percent_text(timeline.bubble()), peak_text(peak_stashes(plan)));
}

std::string summary_json(const Plan& plan, const Timeline& timeline, const Caption& caption) {
  const Placement placement = placement_of(plan);
  nlohmann::ordered_json summary;
  summary["title"] = caption.title;
  summary["ranks"] = plan.ranks();
  summary["stages"] = placement.stages();
  summary["steps"] = steps_of(plan);
  summary["makespan"] = timeline.makespan;
  summary["unit"] = caption.unit;
  summary["bubble"] = timeline.bubble();
  summary["idle"] = idle_of(timeline);
  summary["peak_stashes"] = peak_stashes(plan);
  summary["stages_of"] = placement.stages_of;
  return summary.dump() + "\n";
}

}  // namespace caravan::jobs
