#include "jobs/submit/site.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/setup/shared_files.hpp"
#include "jobs/submit/allowed.hpp"
#include "jobs/submit/site_schema.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// A scalar child that is a word of this kind; "" when it is not given.
std::string word(const Config& map, std::string_view key, WordKind kind) {
  const Config& node = map.find(key);
  if (node.is_null()) return "";
  check_word(kind, fmt::format("{}: {}", node.where(), node.path()), node.as_string());
  return node.as_string();
}

std::vector<std::string> words(const Config& map, std::string_view key, WordKind kind) {
  const Config& node = map.find(key);
  if (node.is_null()) return {};
  std::vector<std::string> list = node.as_string_list();
  for (const std::string& each : list)
    check_word(kind, fmt::format("{}: {}", node.where(), node.path()), each);
  return list;
}

Site::Container read_container(const Config& node) {
  if (node.is_null()) return {};
  const Config checked = validate(node, kContainerParams, "section container");
  Site::Container container{checked.get_string("kind"), word(checked, "image", WordKind::operand),
                            words(checked, "mounts", WordKind::operand)};
  for (const std::string& mount : container.mounts) {
    CARAVAN_CHECK(mount.find(',') == std::string::npos, ConfigError,
                  fmt::format("{}: mount '{}' (a comma separates mounts). Write them as items of the list?",
                              checked.at("mounts").where(), mount));
  }
  return container;
}

std::vector<std::pair<std::string, std::string>> read_environment(const Config& node) {
  std::vector<std::pair<std::string, std::string>> list;
  for (const auto& [name, value] : node.entries()) {
    check_word(WordKind::variable, fmt::format("{}: a variable of environment", value.where()), name);
    list.emplace_back(name, word(node, name, WordKind::text));
  }
  return list;
}

std::int64_t tasks_per_node(const Config& site) {
  const std::int64_t given = site.get_int("tasks_per_node"), gpus = site.get_int("gpus_per_node");
  CARAVAN_CHECK(
      given != 0, ConfigError,
      fmt::format("{}: tasks_per_node=0 (a node has at least one rank)", site.at("tasks_per_node").where()));
  return given > 0 ? given : std::max<std::int64_t>(gpus, 1);
}

/// What Slurm takes as words.
void read_allocation(const Config& given, Site& site) {
  site.partition = word(given, "partition", WordKind::name);
  site.account = word(given, "account", WordKind::name);
  site.qos = word(given, "qos", WordKind::name);
  site.reservation = word(given, "reservation", WordKind::name);
  site.constraint = word(given, "constraint", WordKind::constraint);
  site.memory = word(given, "memory", WordKind::memory);
  site.time = word(given, "time", WordKind::text);
}

std::vector<fs::path> site_folders() {
  std::vector<fs::path> folders{slurm_folder() / "sites"};
  if (const char* own = std::getenv("CARAVAN_SITES")) folders.insert(folders.begin(), own);
  return folders;
}

std::string find_site(const std::string& name) {
  if (name.ends_with(".yaml")) return name;
  check_word(WordKind::name, "--site", name);
  std::vector<std::string> known;
  for (const fs::path& folder : site_folders()) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (entry.path().stem() == name && entry.path().extension() == ".yaml") return entry.path().string();
      known.push_back(entry.path().stem().string());
    }
  }
  std::sort(known.begin(), known.end());
  const std::string near = nearest_name(name, known);
  throw ConfigError(
      fmt::format("no site '{}' (there are: {}).{} A file of your own is --site PATH.yaml, or "
                  "stands in the folder that CARAVAN_SITES names.",
                  name, fmt::join(known, ", "), near.empty() ? "" : " Did you mean '" + near + "'?"));
}

}  // namespace

fs::path slurm_folder() {
  return shared_folder("slurm", CARAVAN_SOURCE_SLURM);
}

Site load_site(const std::string& name, const std::vector<std::string>& changes) {
  Config tree = Config::load(find_site(name));
  for (const std::string& change : changes) tree.override_with(change);
  const Config given = validate(tree, kSiteParams, "site file");
  Site site;
  read_allocation(given, site);
  site.exclusive = given.get_bool("exclusive");
  site.stop_before_limit = given.get_int("stop_before_limit");
  site.gpus_per_node = given.get_int("gpus_per_node");
  site.tasks_per_node = tasks_per_node(given);
  site.cpus_per_task = given.get_int("cpus_per_task");
  site.launcher = given.get_string("launcher");
  site.mpi = word(given, "mpi", WordKind::name);
  site.binary = word(given, "binary", WordKind::operand);
  site.modules = words(given, "modules", WordKind::module);
  site.container = read_container(given.find("container"));
  site.environment = read_environment(given.find("environment"));
  site.max_restarts = given.get_int("max_restarts");
  site.max_idle_restarts = given.get_int("max_idle_restarts");
  site.node_failures = given.get_int("node_failures");
  return site;
}

}  // namespace caravan::jobs
