#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/plan/job_checks.hpp"
#include "jobs/plan/memory_fit.hpp"
#include "jobs/plan/paper_check.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"
#include "jobs/train/trainer.hpp"
#include "jobs/watch/hasty_launcher.hpp"
#include "jobs/watch/watch_run.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  std::string job;
  std::vector<std::string> overrides;
  bool dry_run = false;
  int ranks = 0;  ///< to plan for; 0: those that run
};

/// What the whole run takes of its data, from what it starts, and what it asks for in vain.
void print_found(TrainSetup& setup, const PaperCheck::Found& found) {
  std::string text = "\n# data\n";
  for (const std::string& line : found.data) text += "  " + line + "\n";
  write_standard_output(text + "\n# start\n  " + found.start + "\n");
  for (const std::string& idle : idle_keys(setup.job(), setup.whole_model().parameters())) log_warning(idle);
}

/// The plan of rank 0 of ranks that are not running.
int plan_for(const Options& options, const Job& job, Communicator& world) {
  CARAVAN_CHECK(options.dry_run && world.size() == 1, ConfigError,
                fmt::format("--ranks {} {} (it plans for ranks that are not started). {}?", options.ranks,
                            options.dry_run ? fmt::format("on {} ranks", world.size()) : "without --dry-run",
                            options.dry_run ? "Leave mpirun out" : "mpirun -n starts ranks"));
  PaperWorld paper(0, options.ranks);
  TrainSetup setup(job, paper, device_of_job);
  write_standard_output(describe(setup));
  print_found(setup, PaperCheck(options.ranks, device_of_job).check(setup));
  return 0;
}

int print_plan(const Options& options, Communicator& world) {
  const Job job = load_job(options.job, options.overrides);
  if (options.ranks > 0) return plan_for(options, job, world);
  TrainSetup setup(job, world);
  const std::string text = describe(setup);
  if (world.rank() == 0) write_standard_output(text);
  check_memory_fits(setup);
  if (world.rank() == 0) print_found(setup, PaperCheck(world.size(), device_of_job).check(setup));
  return 0;
}

int train(const Options& options, const StopRequest& stop, Communicator& world) {
  const Job job = load_job(options.job, options.overrides);
  warn_of_hasty_launcher();
  Whereabouts whereabouts;
  const auto watchdog = watch_run(whereabouts, job, world);  // making communicators and opening data may hang
  TrainSetup setup(job, world);
  return static_cast<int>(Trainer(setup, world, stop, whereabouts).run());
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("job", options->job, "Job file (YAML)")->required()->type_name("JOB.yaml");
  app.add_option("overrides", options->overrides, "Keys of the job to set, e.g. train.lr=3e-4")
      ->type_name("key.path=value");
  app.add_flag(
      "--dry-run", options->dry_run,
      "Print the resolved job, layout, plan, what runs each operator, memory and parameters, and refuse what "
      "training would refuse before its first step; allocate nothing");
  add_wanted_integer(app, "--ranks", options->ranks, "[1, 268435456]",
                     "With --dry-run: plan for so many ranks, which are not started");
  app.footer(
      "Start several ranks with: mpirun -n 2 caravan train JOB.yaml\n"
      "A run continues from the newest complete checkpoint of its output folder.\n"
      "SIGUSR1, SIGTERM, SIGINT and SIGHUP make it save, leave and exit with 75. mpirun hands SIGUSR1 on and "
      "gives\n"
      "75 too; on SIGINT (Ctrl-C) and SIGTERM it asks the ranks to leave, kills them after as many seconds "
      "as\n"
      "--mca odls_base_sigkill_timeout says (1: too short to save), and exits with 1 itself.");
  return [options] {
    if (options->dry_run || options->ranks > 0)
      return with_world([&](Communicator& world) { return print_plan(*options, world); });
    const StopRequest stop;  // before MPI starts
    return with_world([&](Communicator& world) { return train(*options, stop, world); });
  };
}

}  // namespace

extern const Command train_command{"train", "Run a training job, alone or under mpirun or srun", &declare,
                                   true};

}  // namespace caravan::jobs
