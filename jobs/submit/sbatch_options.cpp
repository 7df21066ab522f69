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

/// Words of the command line, without those that nobody gave a value.
struct Words {
  std::vector<std::string> all;

  void add(const char* option, const std::string& value) {
    if (!value.empty()) all.push_back(fmt::format("{}={}", option, value));
  }
};

void add_resources(Words& words, const SubmitRequest& request, const Site& site) {
  words.add("--nodes", std::to_string(request.nodes));
  words.add("--ntasks-per-node", std::to_string(site.tasks_per_node));
  words.add("--cpus-per-task", std::to_string(site.cpus_per_task));
  if (site.gpus_per_node > 0 && !site.gres_has_gpus)
    words.add("--gpus-per-node", std::to_string(site.gpus_per_node));
  words.add("--gres", site.gres);
  if (site.exclusive) words.all.emplace_back("--exclusive");
  words.add("--mem", site.memory);
}

}  // namespace

std::vector<std::string> sbatch_options(const SubmitRequest& request, const Site& site,
                                        const SbatchNames& names) {
  Words words{{"sbatch", "--parsable"}};
  words.add("--job-name", names.job);
  add_resources(words, request, site);
  words.add("--time", time_limit(request, site));
  words.add("--signal", fmt::format("B:USR1@{}", site.stop_before_limit));
  words.add("--partition", site.partition);
  words.add("--account", site.account);
  words.add("--qos", site.qos);
  words.add("--reservation", site.reservation);
  words.add("--constraint", site.constraint);
  words.add("--mail-type", site.mail_type);
  words.add("--mail-user", site.mail_address);
  words.add("--exclude", excluded_nodes(request));
  words.add("--array", names.array);
  words.add("--chdir", std::filesystem::current_path().string());
  words.add("--output", names.log);
  // The site's own last: of two of a kind sbatch takes the later.
  words.all.insert(words.all.end(), site.sbatch_options.begin(), site.sbatch_options.end());
  return words.all;
}

}  // namespace caravan::jobs
