#include "jobs/identity/rate_change.hpp"

#include <fmt/format.h>

#include "caravan/config.hpp"
#include "caravan/error.hpp"

namespace caravan::jobs {
namespace {

/// Rounding of another layout's or version's arithmetic is no restart.
constexpr double kAbove = 1 + 1e-9;

std::string remedy(const LrSchedule& before, const LrSchedule& after) {
  if (before.total_steps == after.total_steps)
    return "its shape is another: see train.lr, warmup_steps, decay and decay_ratio";
  return fmt::format("its schedule has {} steps, which were {}: train.schedule_steps=frozen keeps them",
                     after.total_steps, before.total_steps);
}

std::string warm_restart(const LrSchedule& before, const LrSchedule& after, std::int64_t step) {
  const double last = before.at(step), expected = before.at(step + 1), next = after.at(step + 1);
  if (next <= last * kAbove || next <= expected * kAbove) return "";
  return fmt::format(
      "warm restart: the learning rate jumps from {:.6g} at step {} to {:.6g} at step {}, where it would "
      "have "
      "been {:.6g} ({})",
      last, step, next, step + 1, expected, remedy(before, after));
}

}  // namespace

std::int64_t schedule_steps_of(const std::string& stored_job) {
  return resolve_job(Config::parse(stored_job, "the job of the checkpoint")).train.lr.total_steps;
}

RateChange rate_change(const std::string& stored_job, const Job& now, std::int64_t step) {
  RateChange change;
  try {
    const LrSchedule before = resolve_job(Config::parse(stored_job)).train.lr;
    LrSchedule after = now.train.lr;
    if (now.train.freezes_schedule) {
      after.total_steps = before.total_steps;
      change.frozen = fmt::format(
          "the learning-rate schedule keeps its {} steps, as train.schedule_steps=frozen says "
          "(train.steps={})",
          before.total_steps, now.train.steps);
    }
    const double first = before.at(step + 1), second = after.at(step + 1);
    if (first != second)
      change.said = Difference{fmt::format("the learning rate of step {}", step + 1),
                               fmt::format("{:.6g}", first), fmt::format("{:.6g}", second)};
    change.warm_restart = warm_restart(before, after, step);
  } catch (const ConfigError&) {  // a job of another version: its keys are compared all the same
  }
  return change;
}

std::string rates_begun_anew(const std::string& stored_job, const Job& now, std::int64_t step) {
  try {
    const LrSchedule before = resolve_job(Config::parse(stored_job)).train.lr;
    return fmt::format(
        "warm restart: the learning rate was {:.6g} at step {}; it is {:.6g} at step 1, {:.6g} at most",
        before.at(step), step, now.train.lr.at(1), now.train.lr.lr);
  } catch (const ConfigError&) {  // a job of another version
    return "";
  }
}

}  // namespace caravan::jobs
