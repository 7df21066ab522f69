#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/compare_runs/compare_runs.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  CompareRunsOptions compare;
  bool json = false;
};

int run(const Options& options) {
  const StepRange& range = options.compare.range;
  CARAVAN_CHECK(
      range.from <= range.to, ConfigError,
      fmt::format("--from {} --to {} (no step is between). The other way round?", range.from, range.to));
  const Report report = compare_runs(options.compare);
  print_report(report, options.json ? ReportAs::json : ReportAs::text);
  return report.exit_code;
}

std::function<int()> declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CompareRunsOptions& compare = options->compare;
  app.add_option("a", compare.a, "the output folder of a run, or a file such as its metrics.jsonl")
      ->required();
  app.add_option("b", compare.b, "the same of another")->required();
  add_number(app, "--tolerance", compare.tolerance, ">= 0",
             "the largest relative difference of two losses of one step that passes");
  add_integer(app, "--from", compare.range.from, ">= 0", "the first step that is compared");
  add_integer(app, "--to", compare.range.to, ">= 0", "the last one")->default_str("");
  app.add_flag("--json", options->json, "one JSON object");
  return [options] { return run(*options); };
}

}  // namespace

extern const Command compare_runs_command{
    "compare-runs",
    "What differs in the jobs of two runs, and where their losses part; exit code 1 when they do", &declare};

}  // namespace caravan::jobs
