#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/submit/run_env.hpp"
#include "jobs/submit/sbatch.hpp"
#include "jobs/submit/submission.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  SubmitRequest request;
  std::string site;
  std::vector<std::string> site_changes;
  bool print = false, json = false;
};

std::string printed(const Submission& submission) {
  std::string text;
  for (const std::string& note : submission.notes) text += "# " + note + "\n";
  for (std::int64_t link = 0; link < submission.links; ++link)
    text += shell_line(submission.command(link, "JOBID")) + "\n";
  for (const auto& [name, content] : submission.files)
    text += fmt::format("\n# {}/{}\n{}", submission.folder, name, content);
  return text;
}

std::string answer(const Options& options, const Submission& submission,
                   const std::vector<std::string>& ids) {
  if (options.json) {
    const nlohmann::ordered_json facts{{"jobs", ids}, {"folder", submission.folder}};
    return facts.dump() + "\n";
  }
  return fmt::format("submitted {}; scripts and logs: {}\n", fmt::join(ids, ", "), submission.folder);
}

int run_submit(const Options& options) {
  const Submission submission =
      plan_submission(options.request, load_site(options.site, options.site_changes));
  if (options.print) {
    write_standard_output(printed(submission));
    return 0;
  }
  for (const std::string& note : submission.notes) log_info(note);
  write_files(submission);
  try {
    check_with_slurm(submission);
  } catch (const Error&) {
    remove_files(submission);
    throw;
  }
  write_standard_output(answer(options, submission, submit(submission)));
  return 0;
}

/// Several jobs from one file: side by side, and in a row.
void add_many_jobs(CLI::App& app, SubmitRequest& request) {
  app.add_option("--array", request.sweep,
                 "A task for each value of a key of the job; given twice, for each combination")
      ->allow_extra_args(false)
      ->type_name("key=value,value…");
  add_wanted_integer(app, "--at-once", request.at_once, "[0, 1000]", "Array tasks that run together; 0: all");
  add_integer(app, "--chain", request.chain, "[1, 1000]",
              "Short jobs in a row, each going on where the one before stopped");
}

void add_check(CLI::App& app, SubmitRequest& request) {
  app.add_option_function<std::string>(
         "--check",
         [&request](const std::string& scope) {
           request.check = scope == "layout" ? CheckScope::layout : CheckScope::all;
         },
         "all: what train would refuse on so many ranks is refused here; layout: ranks and batch alone, "
         "where "
         "data or plugins are on the nodes only")
      ->check(CLI::IsMember({"all", "layout"}))
      ->default_str("all");
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  SubmitRequest& request = options->request;
  app.add_option("job", request.job, "Job file (YAML)")->required()->type_name("JOB.yaml");
  app.add_option("overrides", request.overrides, "Keys of the job to set, e.g. train.lr=3e-4")
      ->type_name("key.path=value");
  app.add_option("--site", options->site, "A site's name, or a site file (PATH.yaml)")->required();
  app.add_option("--set", options->site_changes, "Keys of the site to set, e.g. partition=debug")
      ->allow_extra_args(false)
      ->type_name("key=value");
  add_integer(app, "--nodes", request.nodes, "[1, 65536]", "Nodes");
  app.add_option("--time", request.time, "Limit in place of the site's: HH:MM:SS, D-HH:MM:SS or minutes");
  add_many_jobs(app, request);
  app.add_option("--after", request.after, "Start when that job is done")->type_name("[KIND:]JOBID");
  app.add_option("--exclude", request.exclude, "Nodes to leave out")->delimiter(',')->allow_extra_args(false);
  add_check(app, request);
  app.add_flag("--print", options->print, "Show everything; write and submit nothing");
  app.add_flag("--json", options->json, "Print one JSON object");
  app.footer(
      "A job that is asked to leave (time limit, preemption) saves and is started again; see docs/slurm.md.\n"
      "Example: caravan submit job.yaml --site hopper-ib --nodes 4 --time 12:00:00 --array "
      "train.lr=1e-3,3e-4");
  return [options] { return run_submit(*options); };
}

}  // namespace

extern const Command submit_command{"submit", "Submit a training job to Slurm", &declare};

}  // namespace caravan::jobs
