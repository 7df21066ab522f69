#include "jobs/submit/submission.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <filesystem>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"
#include "io/files/file.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/paper_check.hpp"
#include "jobs/submit/allowed.hpp"
#include "jobs/submit/failing_nodes.hpp"
#include "jobs/submit/node_device.hpp"
#include "jobs/submit/run_env.hpp"
#include "jobs/submit/sbatch.hpp"
#include "jobs/submit/sbatch_options.hpp"
#include "jobs/submit/scoped_environment.hpp"
#include "jobs/submit/sweep.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostScriptBytes = 1 << 20;

/// Slurm fills in % in the names of logs, unless there is a backslash.
std::string log_pattern(const std::string& folder, bool is_array) {
  std::string text;
  for (char c : folder) text += c == '%' ? "%%" : std::string(1, c);
  return text + (is_array ? "/log-%A_%a.txt" : "/log-%j.txt");
}

std::string absolute_path(const std::string& what, const std::string& path) {
  check_word(WordKind::operand, what, path);
  CARAVAN_CHECK(
      path.find('\\') == std::string::npos, ConfigError,
      fmt::format("{}: {} (a backslash turns off Slurm's log names). Name it otherwise?", what, shown(path)));
  return fs::absolute(path).lexically_normal().string();
}

/// kind:id as Slurm's --dependency takes it.
std::string dependency_of(const std::string& after) {
  if (after.empty()) return "";
  const std::size_t colon = after.find(':');
  const std::string kind = colon == std::string::npos ? "afterok" : after.substr(0, colon);
  const std::string id = colon == std::string::npos ? after : after.substr(colon + 1);
  const bool known = kind == "after" || kind == "afterany" || kind == "afterok" || kind == "afternotok" ||
                     kind == "aftercorr";
  const bool is_id = !id.empty() && id.find_first_not_of("0123456789_") == std::string::npos;
  CARAVAN_CHECK(known && is_id, ConfigError,
                fmt::format("--after {} (a job id, or after, afterany, afterok, afternotok or aftercorr with "
                            ":id)",
                            shown(after)));
  return kind + ":" + id;
}

RunEnv settings(const Site& site, bool goes_on) {
  RunEnv env;
  const bool in_container = site.container.kind != "none";
  const std::string own = fs::read_symlink("/proc/self/exe").string();
  env.set("CARAVAN_BINARY", !site.binary.empty() ? site.binary
                            : in_container       ? "caravan"
                                                 : own)
      .set("CARAVAN_LAUNCHER", site.launcher)
      .set("CARAVAN_MPI", site.mpi)
      .set("CARAVAN_SRUN_OPTIONS", site.srun_options)
      .set("CARAVAN_MODULES", site.modules)
      .set("CARAVAN_CONTAINER", site.container.kind)
      .set("CARAVAN_IMAGE", site.container.image)
      .set("CARAVAN_MOUNTS", site.container.mounts)
      .set("CARAVAN_CHAIN", goes_on ? "yes" : "no")
      .set("CARAVAN_MAX_RESTARTS", std::to_string(site.max_restarts))
      .set("CARAVAN_MAX_IDLE_RESTARTS", std::to_string(site.max_idle_restarts))
      .set("CARAVAN_NODE_FAILURES", std::to_string(site.node_failures));
  for (const auto& [name, value] : site.environment) env.export_as(name, value);
  return env;
}

/// What the options of a request and a site make of a job.
class Planner {
 public:
  Planner(const SubmitRequest& request, const Site& site)
      : request_(request),
        site_(site),
        ranks_(static_cast<int>(request.nodes * site.tasks_per_node)),
        device_(site.gpus_per_node > 0),
        paper_(ranks_, [this](Registry&, const Job& job) { return device_.lend(job); }) {}

  Submission plan() {
    const Job job = load_job(request_.job, request_.overrides);
    check_word(WordKind::name, fmt::format("{}: name", request_.job), job.name);
    run_ = absolute_path("output", job.output);
    plan_.folder = fmt::format("{}/slurm/{:%Y%m%d-%H%M%S}-{}", run_, fmt::gmtime(std::time(nullptr)),
                               io::random_suffix().substr(0, 4));
    plan_.is_array = !request_.sweep.empty();
    plan_.links = request_.chain;
    plan_.dependency = dependency_of(request_.after);
    add_scripts();
    plan_.is_array ? add_tasks() : add_single(job);
    plan_.sbatch =
        sbatch_options(request_, site_, {job.name, log_pattern(plan_.folder, plan_.is_array), array_range()});
    note_failing_nodes();
    note_environment();
    return std::move(plan_);
  }

 private:
  /// A container may hold other plugins and files than this machine.
  bool checks_all() const { return request_.check == CheckScope::all && site_.container.kind == "none"; }
  void check_job(const Job& job) {
    if (!checks_all()) return check_layout(job, ranks_);
    const ScopedEnvironment of_the_ranks(caravan_variables());
    paper_.check(job);
  }
  /// Which plugins are found and trusted there.
  ScopedEnvironment::Variables caravan_variables() const {
    ScopedEnvironment::Variables variables;
    for (const auto& variable : site_.environment)
      if (variable.first.starts_with("CARAVAN_")) variables.push_back(variable);
    return variables;
  }
  std::string array_range() const {
    if (!plan_.is_array) return "";
    return fmt::format("0-{}{}", last_task_,
                       request_.at_once > 0 ? fmt::format("%{}", request_.at_once) : "");
  }
  void add_file(const std::string& name, std::string text) {
    plan_.files.emplace_back(name, std::move(text));
  }
  std::string path(const std::string& name) const { return plan_.folder + "/" + name; }

  void note_failing_nodes() {
    for (const std::string& node : failing_nodes(run_, site_.node_failures))
      plan_.notes.push_back(
          fmt::format("node {} took part in {} or more failures of this run "
                      "(failed-nodes.txt); --exclude {} leaves it out",
                      node, site_.node_failures, node));
  }

  void note_environment() {
    if (!checks_all())
      plan_.notes.emplace_back(
          "only ranks and batch are checked: plugins, data and weights are looked at when the job starts");
    const std::vector<std::string> withheld = withheld_variables();
    if (withheld.empty()) return;
    plan_.notes.push_back(
        fmt::format("variables of this shell that are not handed to the job, as they belong to another "
                    "allocation or set up MPI (the site's environment is for that): {}",
                    fmt::join(withheld, ", ")));
  }

  void add_scripts() {
    const std::string script = site_.gpus_per_node > 0 ? "gpu.sbatch" : "cpu.sbatch";
    plan_.script = path(script);
    for (const std::string& name : {script, std::string("run.sh")})
      add_file(name, io::read_text((slurm_folder() / name).string(), kMostScriptBytes));
    if (!site_.setup.empty())
      add_file("setup.sh",
               fmt::format("# The site's setup; run.sh reads it.\n{}\n", fmt::join(site_.setup, "\n")));
  }

  void add_single(Job job) {
    name_output(job, run_);
    check_job(job);
    add_file("job.yaml", job.resolved.to_yaml());
    add_settings(run_, path("job.yaml"));
  }

  static void name_output(Job& job, const std::string& run) {
    job.output = run;
    job.resolved.set("output", run);
  }

  void check_task(const Job& job, std::size_t index) {
    try {
      check_job(job);
    } catch (Error& error) {
      error.add_context(fmt::format("task {} of the array", index));
      throw;
    }
  }

  /// Settings that all tasks share name the first one, and each task's own file stands over them.
  void add_tasks() {
    const auto tasks = expand_sweep(request_.sweep);
    for (std::size_t index = 0; index < tasks.size(); ++index) {
      std::vector<std::string> overrides = request_.overrides;
      overrides.insert(overrides.end(), tasks[index].begin(), tasks[index].end());
      Job job = load_job(request_.job, overrides);
      const std::string run = fmt::format("{}/task-{}", run_, index),
                        file = fmt::format("job-{}.yaml", index);
      name_output(job, run);
      check_task(job, index);
      add_file(file, job.resolved.to_yaml());
      add_file(fmt::format("task-{}.env", index),
               RunEnv().set("CARAVAN_RUN", run).set("CARAVAN_JOB", path(file)).text());
      plan_.notes.push_back(fmt::format("task {}: {}", index, fmt::join(tasks[index], " ")));
    }
    last_task_ = tasks.size() - 1;
    add_settings(run_ + "/task-0", path("job-0.yaml"));
  }

  void add_settings(const std::string& run, const std::string& job) {
    const auto text = [&](bool goes_on) {
      return settings(site_, goes_on).set("CARAVAN_RUN", run).set("CARAVAN_JOB", job).text();
    };
    add_file("run.env", text(plan_.links > 1));
    if (plan_.links > 1) add_file("last.env", text(false));
  }

  const SubmitRequest& request_;
  const Site& site_;
  Submission plan_;
  std::string run_;
  std::size_t last_task_ = 0;
  int ranks_;
  NodeDevice device_;
  PaperCheck paper_;
};

}  // namespace

std::vector<std::string> Submission::command(std::int64_t link, const std::string& before) const {
  std::vector<std::string> words = sbatch;
  const std::string kind = is_array ? "aftercorr:" : "afterok:";  // of each task its own predecessor
  const std::string wanted = link == 0 ? dependency : kind + before;
  if (!wanted.empty()) {
    words.push_back("--dependency=" + wanted);
    words.emplace_back("--kill-on-invalid-dep=yes");  // else a job whose turn never comes waits for ever
  }
  words.push_back(script);
  words.push_back(folder + (links > 1 && link + 1 == links ? "/last.env" : "/run.env"));
  return words;
}

Submission plan_submission(const SubmitRequest& request, const Site& site) {
  return Planner(request, site).plan();
}

void write_files(const Submission& submission) {
  std::error_code error;
  fs::create_directories(submission.folder, error);
  CARAVAN_CHECK(!error, IoError,
                fmt::format("cannot make the folder {} ({})", submission.folder, error.message()));
  for (const auto& [name, text] : submission.files)
    io::write_output(submission.folder + "/" + name, text, io::NamedBy::us);
}

void remove_files(const Submission& submission) noexcept {
  std::error_code ignored;
  fs::remove_all(submission.folder, ignored);
}

}  // namespace caravan::jobs
