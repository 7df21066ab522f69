#include "jobs/compare_runs/compare_runs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/printable.hpp"
#include "jobs/compare_runs/run_job.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

/// The first two decide; the others say why.
constexpr std::array kCurves{Curve::loss, Curve::validation_loss, Curve::grad_norm, Curve::learning_rate};
constexpr std::size_t kDeciding = 2;
constexpr std::size_t kColumn = 16;

std::string line(std::string_view head, const std::string& rest) {
  return fmt::format("{:<{}}{}\n", head, kColumn, rest);
}

/// What was read of two runs, and how far they are apart.
struct ComparedRuns {
  const CompareRunsOptions& options;
  RunRecords a, b;
  std::optional<std::vector<Difference>> jobs;
  std::vector<Parting> partings{};  ///< of curves that both have
  bool is_within = true;
};

ComparedRuns compared(const CompareRunsOptions& options) {
  ComparedRuns found{options, RunRecords(options.a, RunRecords::Wait::no),
                     RunRecords(options.b, RunRecords::Wait::no), differences_of_jobs(options.a, options.b)};
  for (const RunRecords* run : {&found.a, &found.b})
    if (run->damaged_lines() > 0)
      log_warning(fmt::format(
          "{}: {} no record of a step; passed over", run->path(),
          run->damaged_lines() == 1 ? "1 line is" : fmt::format("{} lines are", run->damaged_lines())));
  for (std::size_t at = 0; at < kCurves.size(); ++at) {
    Parting parting = parting_of(found.a, found.b, kCurves[at], options.range, options.tolerance);
    if (parting.steps == 0) continue;
    if (at < kDeciding && parting.beyond > 0) found.is_within = false;
    found.partings.push_back(std::move(parting));
  }
  CARAVAN_CHECK(!found.partings.empty() && found.partings.front().curve == Curve::loss, IoError,
                fmt::format("{} and {} recorded no loss of the same step. Other steps with --from and --to?",
                            options.a, options.b));
  return found;
}

bool decides(const Parting& parting) {
  return parting.curve == kCurves[0] || parting.curve == kCurves[1];
}

std::string steps_of(const RunRecords& run) {
  if (run.steps().empty()) return "no step";
  return fmt::format("{}, {} to {}", counted(std::ssize(run.steps()), "step"), run.steps().front().step,
                     run.steps().back().step);
}

std::string jobs_text(const ComparedRuns& found) {
  if (!found.jobs) return line("jobs", "not compared: no job.yaml stands beside the records of one of them");
  if (found.jobs->empty()) return line("jobs", "the same");
  std::string text;
  for (const Difference& each : *found.jobs)
    text += line(text.empty() ? "jobs" : "",
                 printable(fmt::format("{}: {} -> {}", each.key, each.first, each.second)));
  return text;
}

std::string at_text(const Parting::At& at) {
  return fmt::format("{:.3g} at step {} ({:.8g} and {:.8g})", at.difference(), at.step, at.a, at.b);
}

std::string curve_text(const Parting& parting) {
  const std::string head = text_of(parting.curve).title;
  if (parting.largest->difference() == 0)
    return line(head, fmt::format("the same at {}", counted(parting.steps, "step")));
  std::string text;
  const auto add = [&](const std::string& rest) { text += line(text.empty() ? head : "", rest); };
  if (parting.first)
    add(fmt::format("apart from step {} on ({:.8g} and {:.8g}): {} of {} beyond the tolerance",
                    parting.first->step, parting.first->a, parting.first->b, parting.beyond,
                    counted(parting.steps, "step")));
  add("largest difference " + at_text(*parting.largest));
  add("last " + at_text(*parting.last));
  return text;
}

std::string throughput_text(const ComparedRuns& found) {
  const auto a = median_of(found.a, Curve::tokens_per_second, found.options.range),
             b = median_of(found.b, Curve::tokens_per_second, found.options.range);
  if (!a || !b) return "";
  return line("tokens a second",
              fmt::format("{:.6g} and {:.6g}, B/A {:.3g} (medians over the steps of each)", *a, *b, *b / *a));
}

std::string verdict_text(const ComparedRuns& found) {
  std::vector<std::string> beyond;
  for (const Parting& parting : found.partings)
    if (decides(parting) && parting.beyond > 0)
      beyond.push_back(fmt::format("{} {:.3g}", text_of(parting.curve).title, parting.largest->difference()));
  if (found.is_within) return fmt::format("within the tolerance of {:.3g}\n", found.options.tolerance);
  return fmt::format("beyond the tolerance: {} > {:.3g}\n", fmt::join(beyond, ", "), found.options.tolerance);
}

std::string text_of_all(const ComparedRuns& found) {
  std::string text = fmt::format("A {} ({})\nB {} ({})\n", printable(found.options.a), steps_of(found.a),
                                 printable(found.options.b), steps_of(found.b));
  text += jobs_text(found);
  for (const Parting& parting : found.partings) text += curve_text(parting);
  return text + throughput_text(found) + verdict_text(found);
}

ordered_json json_of(const std::optional<Parting::At>& at) {
  if (!at) return nullptr;
  return {{"step", at->step}, {"a", at->a}, {"b", at->b}, {"difference", at->difference()}};
}

ordered_json json_of(const ComparedRuns& found, const RunRecords& run) {
  const auto speed = median_of(run, Curve::tokens_per_second, found.options.range);
  ordered_json json{{"path", run.path()}, {"steps", run.steps().size()}};
  json["last_step"] = run.steps().empty() ? ordered_json() : ordered_json(run.steps().back().step);
  json["tokens_per_s"] = speed ? ordered_json(*speed) : ordered_json();
  return json;
}

ordered_json json_of(const ComparedRuns& found) {
  ordered_json json{{"a", json_of(found, found.a)}, {"b", json_of(found, found.b)}};
  json["jobs"] = found.jobs ? ordered_json::array() : ordered_json();
  for (const Difference& each : found.jobs.value_or(std::vector<Difference>{}))
    json["jobs"].push_back({{"key", each.key}, {"a", each.first}, {"b", each.second}});
  json["curves"] = ordered_json::array();
  for (const Parting& parting : found.partings)
    json["curves"].push_back({{"curve", text_of(parting.curve).key},
                              {"steps", parting.steps},
                              {"beyond", parting.beyond},
                              {"first_beyond", json_of(parting.first)},
                              {"largest", json_of(parting.largest)},
                              {"last", json_of(parting.last)},
                              {"decides", decides(parting)}});
  json["tolerance"] = found.options.tolerance;
  json["within"] = found.is_within;
  return json;
}

}  // namespace

Report compare_runs(const CompareRunsOptions& options) {
  const ComparedRuns found = compared(options);
  return {text_of_all(found), json_of(found), "", found.is_within ? 0 : 1};
}

}  // namespace caravan::jobs
