#include "jobs/plan/data_use.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "jobs/plan/layout.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

std::string describe(const PartUse& use) {
  const std::string taken = counted(use.taken, "sample");
  if (use.pass == 0) return taken + " of data without end";
  return fmt::format("{}, {:.4g} passes over {}", taken, passes_of(use), use.pass);
}

}  // namespace

std::int64_t samples_of_run(const Job& job, const BatchShare& share) {
  return checked_product({{"train.steps", job.train.steps}, {kSequencesOfStep, share.global_batch}},
                         kMostNumbered, "sequences of a run");
}

void check_enough_samples(const Job& job, const BatchShare& share, const DataSource& source) {
  for (const PartUse& use : source.uses(samples_of_run(job, share)))
    CARAVAN_CHECK(
        use.repeats || use.taken <= use.pass, ConfigError,
        fmt::format("train.steps={} with {} sequences a step need {} samples{} (the data has {} and does not "
                    "repeat them). Fewer steps, or data.wrap: true?",
                    job.train.steps, share.global_batch, use.taken, use.name.empty() ? "" : " of " + use.name,
                    use.pass));
}

double passes_of(const PartUse& use) {
  return use.pass == 0 ? 0 : static_cast<double>(use.taken) / static_cast<double>(use.pass);
}

std::vector<std::string> describe_use(const DataSource& source, std::int64_t samples) {
  const std::vector<PartUse> uses = source.uses(samples);
  if (uses.size() == 1) return {describe(uses[0])};
  std::vector<std::string> lines{
      fmt::format("{} of {}", counted(samples, "sample"), counted(std::ssize(uses), "part"))};
  for (std::size_t part = 0; part < uses.size(); ++part) {
    const double share =
        samples == 0 ? 0 : static_cast<double>(uses[part].taken) / static_cast<double>(samples);
    lines.push_back(fmt::format("  part {}: {:.2f} % of them, {} ({})", part, 100 * share,
                                describe(uses[part]), uses[part].name));
  }
  return lines;
}

}  // namespace caravan::jobs
