#include "jobs/submit/sbatch_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "jobs/submit/allowed.hpp"
#include "jobs/submit/time_limit.hpp"

namespace caravan::jobs {
namespace {

std::string time_limit(const SubmitRequest& request, const Site& site) {
  const std::string limit = request.time.empty() ? site.time : request.time;
  CARAVAN_CHECK(
      parse_time_limit("--time", limit) > site.stop_before_limit, ConfigError,
      fmt::format("a time limit of {} (the run is asked to leave {} s before it). Give more, or set "
                  "the site's stop_before_limit lower?",
                  limit, site.stop_before_limit));
  return limit;
}

std::string excluded_nodes(const SubmitRequest& request) {
  for (const std::string& node : request.exclude) check_word(WordKind::name, "--exclude", node);
  return fmt::format("{}", fmt::join(request.exclude, ","));
}

}  // namespace

std::vector<std::string> sbatch_options(const SubmitRequest& request, const Site& site,
                                        const SbatchNames& names) {
  std::vector<std::string> words{"sbatch", "--parsable"};
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.push_back(fmt::format("{}={}", option, value));
  };
  add("--job-name", names.job);
  add("--nodes", std::to_string(request.nodes));
  add("--ntasks-per-node", std::to_string(site.tasks_per_node));
  add("--cpus-per-task", std::to_string(site.cpus_per_task));
  if (site.gpus_per_node > 0 && !site.gres_has_gpus)
    add("--gpus-per-node", std::to_string(site.gpus_per_node));
  add("--gres", site.gres);
  if (site.exclusive) words.emplace_back("--exclusive");
  add("--mem", site.memory);
  add("--time", time_limit(request, site));
  add("--signal", fmt::format("B:USR1@{}", site.stop_before_limit));
  add("--partition", site.partition);
  add("--account", site.account);
  add("--qos", site.qos);
  add("--reservation", site.reservation);
  add("--constraint", site.constraint);
  add("--mail-type", site.mail_type);
  add("--mail-user", site.mail_address);
  add("--exclude", excluded_nodes(request));
  add("--array", names.array);
  add("--chdir", std::filesystem::current_path().string());
  add("--output", names.log);
  words.insert(words.end(), site.sbatch_options.begin(), site.sbatch_options.end());  // the last one counts
  return words;
}

}  // namespace caravan::jobs
