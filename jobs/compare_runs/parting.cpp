#include "jobs/compare_runs/parting.hpp"

#include <algorithm>
#include <cmath>

namespace caravan::jobs {
namespace {

/// Calls visit(values of a, values of b) for every step that both have.
template <class Visit>
void for_each_common_step(const RunRecords& a, const RunRecords& b, const Visit& visit) {
  auto other = b.steps().begin();
  for (const StepValues& mine : a.steps()) {
    while (other != b.steps().end() && other->step < mine.step) ++other;
    if (other != b.steps().end() && other->step == mine.step) visit(mine, *other);
  }
}

}  // namespace

double Parting::At::difference() const {
  if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
  const double most = std::max(std::abs(a), std::abs(b));
  return most > 0 ? std::abs(a - b) / most : 0;
}

Parting parting_of(const RunRecords& a, const RunRecords& b, Curve curve, StepRange range, double tolerance) {
  Parting parting{.curve = curve};
  for_each_common_step(a, b, [&](const StepValues& of_a, const StepValues& of_b) {
    const Parting::At at{of_a.step, of_a.at(curve), of_b.at(curve)};
    if (!range.has(at.step) || std::isnan(at.a) || std::isnan(at.b)) return;
    ++parting.steps;
    parting.last = at;
    if (!parting.largest || at.difference() > parting.largest->difference()) parting.largest = at;
    if (at.difference() <= tolerance) return;
    ++parting.beyond;
    if (!parting.first) parting.first = at;
  });
  return parting;
}

std::optional<double> median_of(const RunRecords& run, Curve curve, StepRange range) {
  std::vector<double> values;
  for (const StepValues& step : run.steps())
    if (range.has(step.step) && std::isfinite(step.at(curve))) values.push_back(step.at(curve));
  if (values.empty()) return std::nullopt;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace caravan::jobs
