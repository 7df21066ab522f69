#include "jobs/state/fork_candidates.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "jobs/identity/run_folder.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// Without links, dots and a slash at its end.
fs::path plain(const std::string& path) {
  const fs::path whole = fs::weakly_canonical(fs::absolute(path)).lexically_normal();
  return whole.filename().empty() ? whole.parent_path() : whole;
}

std::optional<std::int64_t> step_of(const std::string& path) {
  return io::step_of(fs::path(path).filename().string());
}

bool is_checkpoint(const fs::path& path) {
  return fs::exists(path / io::kManifestFile);
}

void check_other_run(const Job& job, const std::string& run) {
  CARAVAN_CHECK(
      run.empty() || plain(run) != plain(job.output), ConfigError,
      fmt::format("checkpoint.from names {}, the output of this job (a run goes on from its own newest "
                  "checkpoint). Another output?",
                  run));
}

std::string steps_text(const std::string& run) {
  const auto steps = io::list_steps(run);
  return steps.empty() ? "it has none" : fmt::format("it has {}", fmt::join(steps, ", "));
}

}  // namespace

std::vector<std::string> fork_candidates(const Job& job) {
  const ForkRule& from = job.checkpoint.from;
  CARAVAN_CHECK(fs::exists(from.run), IoError,
                fmt::format("checkpoint.from: there is no {}. Another path?", from.run));
  const fs::path whole = plain(from.run);
  const bool is_one = is_checkpoint(whole);
  check_other_run(job, is_one ? run_of_checkpoint(whole.string()) : from.run);
  std::vector<std::string> found = is_one ? std::vector{whole.string()} : io::newest_first(from.run);
  if (from.step) std::erase_if(found, [&](const std::string& path) { return step_of(path) != from.step; });
  const std::string which = from.step ? fmt::format(" of step {}", *from.step) : "";
  CARAVAN_CHECK(!found.empty(), IoError,
                fmt::format("checkpoint.from: no checkpoint{} in {} ({}). Another run or step, or "
                            "checkpoint.initial_load for weights of another kind?",
                            which, from.run, is_one ? "it is one of another name" : steps_text(from.run)));
  return found;
}

void check_fork_goes_on(const Job& job, std::int64_t step) {
  CARAVAN_CHECK(
      step < job.train.steps, ConfigError,
      fmt::format("checkpoint.from={} is at step {} and train.steps={} (nothing would be left to do). "
                  "More steps, or what: model?",
                  job.checkpoint.from.run, step, job.train.steps));
}

}  // namespace caravan::jobs
