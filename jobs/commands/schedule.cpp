#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "io/files/pending_file.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/outputs.hpp"
#include "jobs/schedule/query.hpp"
#include "jobs/schedule/summary.hpp"
#include "jobs/schedule/svg.hpp"
#include "jobs/schedule/text.hpp"
#include "jobs/schedule/trace.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  ScheduleQuery query;
  std::vector<std::string> costs;
  std::string format = "text", output;
  bool json = false;
};

std::string text_of(const CheckedSchedule& schedule, const Timeline& timeline, const TextStyle& style) {
  const std::string summary = summary_text(schedule.plan, timeline, schedule.caption);
  const std::string chart = draw_text(schedule.plan, timeline, schedule.caption, style);
  return chart.empty() ? summary : chart + "\n" + summary;
}

std::string rendered(const CheckedSchedule& schedule, const Options& options) {
  if (!options.json && options.format == "csv") return to_csv(schedule.plan);
  const Timeline timeline = simulate(schedule.plan, options.query.costs);
  if (options.json) return summary_json(schedule.plan, timeline, schedule.caption);
  if (options.format == "svg") return draw_svg(schedule.plan, timeline, schedule.caption);
  if (options.format == "trace") return to_trace(schedule.plan, timeline);
  return text_of(schedule, timeline, options.output.empty() ? style_of_standard_output() : TextStyle{});
}

/// Files that the schedule reads, by either of their names.
std::vector<io::NamedFile> files_of(const ScheduleQuery& query) {
  std::vector<io::NamedFile> files{{"--csv", query.csv}};
  for (const std::string& option : query.options) {
    if (option.starts_with("file=")) files.push_back({"the option file", option.substr(5)});
  }
  return files;
}

int run(Options& options) {
  check_user_outputs({{"--output", options.output}}, files_of(options.query));
  options.query.costs = parse_costs(options.costs);
  const std::string text = rendered(make_schedule(options.query), options);
  options.output.empty() ? write_standard_output(text, TextKind::styled_lines)
                         : io::write_output(options.output, text);
  return 0;
}

void declare_plan(CLI::App& app, ScheduleQuery& query) {
  add_wanted_integer(app, "--ranks", query.ranks, "[1, 65536]", "ranks of the pipeline");
  add_wanted_integer(app, "--microbatches", query.microbatches, "[1, 1048576]", "micro-batches of a step");
  add_wanted_integer(app, "--stages-per-rank", query.stages_per_rank, "[1, 1048576]",
                     "default: what is usual for the schedule");
  app.add_option("--csv", query.csv,
                 "the same as csv file=FILE; the file says ranks and micro-batches itself");
  app.add_flag("--comms", query.lowered, "with sends, receives, gathered weights and reduction");
  app.add_flag("--recompute", query.recomputed, "every stage repeats its forward before its backward");
}

std::function<int()> declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  ScheduleQuery& query = options->query;
  app.add_option("name", query.name, "a schedule, as `caravan plugins list` shows them")->required();
  app.add_option("options", query.options,
                 "KEY=VALUE: options of the schedule itself (`caravan plugins describe schedule/NAME` lists "
                 "them), as in "
                 "csv file=plan.csv");
  declare_plan(app, query);
  app.add_option(
         "--cost", options->costs,
         "F=1,I=1,W=1,comm=0,overlap=0: times of the actions of a stage, of a message, and the share of "
         "the shorter of an overlapped pair that is hidden")
      ->delimiter(',');
  CLI::Option* format =
      app.add_option("--format", options->format, "text, csv, svg or trace (Chrome, Perfetto)")
          ->check(CLI::IsMember({"text", "csv", "svg", "trace"}))
          ->capture_default_str();
  app.add_option("--output", options->output, "a file in place of standard output");
  app.add_flag("--json", options->json, "the summary as one JSON object")->excludes(format);
  return [options] { return run(*options); };
}

}  // namespace

extern const Command schedule_command{"schedule", "prints, draws, checks and simulates a pipeline schedule",
                                      &declare};

}  // namespace caravan::jobs
