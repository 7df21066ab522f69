#include "jobs/submit/site.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "core/base/config_scalar.hpp"
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

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) c == separator ? parts.emplace_back() : parts.back() += c;
  return parts;
}

std::vector<std::string> words(const Config& map, std::string_view key, WordKind kind) {
  std::vector<std::string> list;
  for (const Config& item : map.find(key).items()) {
    check_word(kind, fmt::format("{}: {}", item.where(), item.path()), item.text());
    list.push_back(item.text());
  }
  return list;
}

/// The same where an item may hold several words.
std::vector<std::string> joined_words(const Config& map, std::string_view key, WordKind kind,
                                      char separator) {
  std::vector<std::string> list;
  for (const Config& item : map.find(key).items()) {
    for (const std::string& word : split(item.text(), separator)) {
      check_word(kind, fmt::format("{}: {}", item.where(), item.path()), word);
      list.push_back(word);
    }
  }
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

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ","));
}

/// A text where a list is allowed becomes the list of it alone.
void make_list(Config& map, std::string_view key) {
  if (map.find(key).kind() != Config::Kind::scalar) return;
  Config list = Config::list();
  list.append(map.find(key));
  map.set(key, std::move(list));
}

/// How many GPUs a word such as gpu, gpu:4 or gpu:h100:4 asks for; none of another resource.
std::int64_t gpus_of(const std::string& gres) {
  if (gres != "gpu" && !gres.starts_with("gpu:")) return 0;
  return parse_int(gres.substr(gres.rfind(':') + 1)).value_or(1);
}

void read_gpus(const Config& given, Site& site) {
  const std::vector<std::string> gres = joined_words(given, "gres", WordKind::gres, ',');
  site.gres = joined(gres);
  std::int64_t typed = 0;
  for (const std::string& word : gres) typed += gpus_of(word);
  site.gres_has_gpus = typed > 0;
  site.gpus_per_node = given.get_int("gpus_per_node");
  CARAVAN_CHECK(
      typed == 0 || site.gpus_per_node == 0 || site.gpus_per_node == typed, ConfigError,
      fmt::format("{}: gres={} and gpus_per_node={} (two numbers of GPUs). Leave gpus_per_node out?",
                  given.at("gres").where(), site.gres, site.gpus_per_node));
  if (typed > 0) site.gpus_per_node = typed;
}

void read_mail(Config node, Site& site) {
  if (node.is_null()) return;
  make_list(node, "type");
  const Config checked = validate(node, kMailParams, "section mail");
  site.mail_type = joined(joined_words(checked, "type", WordKind::name, ','));
  site.mail_address = word(checked, "address", WordKind::name);
}

/// An option of sbatch that submit gives itself, and where the value is said.
struct OwnOption {
  std::string_view name, said_by;
};
constexpr OwnOption kOwnOptions[] = {
    {"array", "--array"},
    {"chdir", "the folder in which submit is started"},
    {"cpus-per-task", "cpus_per_task"},
    {"dependency", "--after"},
    {"gpus-per-node", "gpus_per_node"},
    {"job-name", "name in the job file"},
    {"no-requeue", "max_restarts: 0"},
    {"nodes", "--nodes"},
    {"ntasks", "tasks_per_node"},
    {"ntasks-per-node", "tasks_per_node"},
    {"output", "output in the job file"},
    {"parsable", "--json"},
    {"signal", "stop_before_limit"},
    {"test-only", "--print"},
    {"time", "time"},
    {"wrap", "setup"},
};

/// sbatch takes the beginning of an option's name for the option.
void check_not_own(const std::string& option, const std::string& where) {
  const std::string name = option.substr(2, option.find('=') - 2);
  for (const OwnOption& own : kOwnOptions) {
    CARAVAN_CHECK(!own.name.starts_with(name), ConfigError,
                  fmt::format("{}: sbatch_options has {} (submit gives --{} itself). Say it by {}?", where,
                              shown(option), own.name, own.said_by));
  }
}

/// Empty lines are nothing to a shell.
std::vector<std::string> setup_lines(const Config& node) {
  std::vector<std::string> lines;
  for (const Config& item : node.items()) {
    for (const std::string& line : split(item.text(), '\n')) {
      if (!line.empty()) check_word(WordKind::text, fmt::format("{}: {}", item.where(), item.path()), line);
      lines.push_back(line);
    }
  }
  return lines;
}

/// What a site says beyond the keys that have a meaning here.
void read_own_words(const Config& given, Site& site) {
  site.setup = setup_lines(given.find("setup"));
  site.sbatch_options = words(given, "sbatch_options", WordKind::option);
  for (const std::string& option : site.sbatch_options)
    check_not_own(option, given.at("sbatch_options").where());
  site.srun_options = words(given, "srun_options", WordKind::option);
  CARAVAN_CHECK(site.srun_options.empty() || site.launcher == "srun", ConfigError,
                fmt::format("{}: srun_options with launcher: {} (nobody would read them). Leave them out?",
                            given.at("srun_options").where(), site.launcher));
}

std::int64_t tasks_per_node(const Config& site, std::int64_t gpus) {
  const std::int64_t given = site.get_int("tasks_per_node");
  CARAVAN_CHECK(
      given != 0, ConfigError,
      fmt::format("{}: tasks_per_node=0 (a node has at least one rank)", site.at("tasks_per_node").where()));
  return given > 0 ? given : std::max<std::int64_t>(gpus, 1);
}

/// What Slurm takes as words.
void read_allocation(const Config& given, Site& site) {
  site.partition = joined(joined_words(given, "partition", WordKind::name, ','));
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
  for (const char* key : {"partition", "gres", "setup"}) make_list(tree, key);
  const Config given = validate(tree, kSiteParams, "site file");
  Site site;
  read_allocation(given, site);
  site.exclusive = given.get_bool("exclusive");
  site.stop_before_limit = given.get_int("stop_before_limit");
  read_gpus(given, site);
  site.tasks_per_node = tasks_per_node(given, site.gpus_per_node);
  site.cpus_per_task = given.get_int("cpus_per_task");
  site.launcher = given.get_string("launcher");
  site.mpi = word(given, "mpi", WordKind::name);
  site.binary = word(given, "binary", WordKind::operand);
  site.modules = words(given, "modules", WordKind::module);
  site.container = read_container(given.find("container"));
  site.environment = read_environment(given.find("environment"));
  read_mail(given.find("mail"), site);
  read_own_words(given, site);
  site.max_restarts = given.get_int("max_restarts");
  site.max_idle_restarts = given.get_int("max_idle_restarts");
  site.node_failures = given.get_int("node_failures");
  return site;
}

}  // namespace caravan::jobs
