#include "tests/schedules/formulas.hpp"

#include <algorithm>
#include <functional>
#include <map>

namespace caravan::testing {
namespace {

/// The letters of the papers.
struct Sizes {
  int p, m, v;
  int missing() const { return std::max(0, p - m); }
  /// Micro-batches of a round of the interleaved schedules.
  int round() const { return m / std::max(1, m / p); }
};

struct Formulas {
  std::function<int(Sizes)> bubble;
  std::function<int(Sizes, int)> peak;
};

int v_half_bubble(Sizes s) {
  if (s.p <= 2) return s.p == 1 ? 0 : 3;
  return std::max(3 * s.p - 4, 4 * s.p - 3 - 2 * s.m);
}

int v_min_bubble(Sizes s) {
  if (s.p == 1) return 0;
  return 4 * s.p - (s.p % 3 == 0 && s.m > 1 ? 3 : 5);
}

int zero_bubble_interleaved(Sizes s) {
  const int of_each_further_stage = std::max({0, s.p - s.m, 2 * s.p - 3 * s.m});
  return s.p - 1 + s.missing() + (s.v - 1) * of_each_further_stage;
}

const std::map<std::string, Formulas>& formulas() {
  static const std::map<std::string, Formulas> all = {
      {"gpipe", {[](Sizes s) { return 3 * (s.p - 1); }, [](Sizes s, int) { return s.m; }}},
      {"1f1b",
       {[](Sizes s) { return 3 * (s.p - 1); }, [](Sizes s, int r) { return std::min(s.m, s.p - r); }}},
      {"interleaved_1f1b",
       {[](Sizes s) { return 3 * (s.p - 1) + 3 * (s.v - 1) * s.missing(); },
        [](Sizes s, int r) { return std::min(s.v * s.m, (s.v - 1) * s.round() + 2 * (s.p - 1 - r) + 1); }}},
      {"looped_bfs",
       {[](Sizes s) { return 3 * (s.p - 1) + 3 * (s.v - 1) * s.missing(); },
        [](Sizes s, int) { return s.v * s.m; }}},
      {"interleaved_zero_bubble",
       {zero_bubble_interleaved,
        [](Sizes s, int) { return std::min(s.v * s.m, (s.v - 1) * s.round() + s.p); }}},
      {"zbv",
       {[](Sizes s) { return std::max(s.p - 1, 4 * s.p - 2 - 2 * s.m); },
        [](Sizes s, int) { return std::min(2 * s.m, 2 * s.p); }}},
      {"dualpipev", {[](Sizes s) { return 2 * (s.p - 1); }, [](Sizes s, int) { return 2 * s.p + 1; }}},
      {"zb_h1",
       {[](Sizes s) { return s.p - 1 + s.missing(); }, [](Sizes s, int) { return std::min(s.m, s.p); }}},
      {"zb_h2",
       {[](Sizes s) { return s.p - 1 + std::max(0, (2 * s.p - 1 - s.m) / 2); },
        [](Sizes s, int) { return std::min(s.m, 2 * s.p - 1); }}},
      {"v_half", {v_half_bubble, [](Sizes s, int) { return std::min(2 * s.m, 2 * ((s.p + 2) / 2)); }}},
      {"v_min", {v_min_bubble, [](Sizes s, int) { return std::min(2 * s.m, 2 * ((s.p + 4) / 3)); }}},
  };
  return all;
}

Sizes sizes(const PlanRequest& request) {
  return {request.ranks, request.microbatches, request.stages_per_rank};
}

}  // namespace

bool is_legal(const std::string& schedule, const PlanRequest& request) {
  const Sizes s = sizes(request);
  if (schedule == "1f1b") return s.m >= s.p;
  if (schedule == "dualpipev") return s.m >= 2 * s.p;
  if (schedule.starts_with("interleaved")) return s.m % std::max(1, s.m / s.p) == 0;
  return true;
}

int bubble(const std::string& schedule, const PlanRequest& request) {
  return formulas().at(schedule).bubble(sizes(request));
}

int peak(const std::string& schedule, const PlanRequest& request, int rank) {
  return formulas().at(schedule).peak(sizes(request), rank);
}

bool peak_is_by_rank(const std::string& schedule) {
  return schedule != "zbv" && !schedule.starts_with("v_");
}

}  // namespace caravan::testing
