#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "jobs/check/check_component.hpp"
#include "jobs/command.hpp"
#include "jobs/plugins/describe.hpp"
#include "jobs/plugins/list.hpp"
#include "jobs/plugins/skeleton.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  bool json = false, markdown = false;
  std::string component;
  std::vector<std::string> keys;
  std::string device = "reference", precision = "auto";
  std::string kind, name, directory;
};

int run_list(const Options& options) {
  print_plugins(*make_registry(), options.json ? ListStyle::json : ListStyle::text);
  return 0;
}

int run_describe(const Options& options) {
  const DescribeStyle style = options.json       ? DescribeStyle::json
                              : options.markdown ? DescribeStyle::markdown
                                                 : DescribeStyle::text;
  print_component(*make_registry(), options.component, style);
  return 0;
}

int run_new(const Options& options) {
  const std::string directory =
      options.directory.empty() ? fmt::format("{}-{}", options.kind, options.name) : options.directory;
  for (const std::string& file : write_skeleton(options.kind, options.name, directory))
    write_standard_output(file + "\n");
  log_info(fmt::format("next: see {}/README.md", directory));
  return 0;
}

Config keys_of(const std::vector<std::string>& assignments) {
  Config holder = Config::map();
  holder.override_with("keys={}");
  for (const std::string& assignment : assignments) holder.override_with("keys." + assignment);
  return holder.at("keys");
}

int check(const Options& options, Communicator* world) {
  const auto [kind, name] = component_of(options.component);
  const auto registry = make_registry();
  const bool prints = !world || world->rank() == 0;
  Findings findings(prints);
  check_component(kind, {*registry, name, keys_of(options.keys), options.device, options.precision, world},
                  findings);
  if (prints)
    write_standard_output(
        fmt::format("{} of {} claims hold\n", findings.tried() - findings.wrong(), findings.tried()));
  return findings.wrong() == 0 ? 0 : 1;
}

int run_check(const Options& options) {
  const std::string kind = component_of(options.component).kind;
  if (is_checked_on_ranks(kind))
    return with_world([&](Communicator& world) { return check(options, &world); });
  refuse_ranks("plugins check " + options.component);
  CARAVAN_CHECK(options.device == Options{}.device, ConfigError,
                fmt::format("--device with {} (it is for dispatchers; the other checks know where they "
                            "run). Without?",
                            options.component));
  CARAVAN_CHECK(
      has_precision(kind) || options.precision == Options{}.precision, ConfigError,
      fmt::format("--precision with {} (it is for dispatchers and layers). Without?", options.component));
  return check(options, nullptr);
}

std::function<int()> declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* list = app.add_subcommand("list", "every component that is linked in or on the search path");
  list->add_flag("--json", options->json, "one JSON object");

  CLI::App* describe =
      app.add_subcommand("describe", "one component: where it comes from, and its parameters");
  describe->add_option("component", options->component, "KIND/NAME, as in schedule/1f1b")->required();
  CLI::Option* json = describe->add_flag("--json", options->json, "one JSON object");
  describe->add_flag("--markdown", options->markdown, "a section of a reference page")->excludes(json);

  CLI::App* check = app.add_subcommand("check",
                                       "hold a data source, dispatcher, layer, metrics sink, optimizer or "
                                       "schedule to what its kind promises; a dispatcher "
                                       "also on the ranks of mpirun");
  check->add_option("component", options->component, "KIND/NAME, as in layer/attention")->required();
  check->add_option("keys", options->keys, "keys of the component, e.g. heads=2")->type_name("KEY=VALUE");
  check->add_option("--device", options->device, "where a dispatcher is checked: auto, cuda, host, reference")
      ->capture_default_str();
  check
      ->add_option("--precision", options->precision,
                   "of a dispatcher or layer: fp32, bf16, or auto for what it supports")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->capture_default_str();

  CLI::App* create = app.add_subcommand("new", "write a working skeleton of a plugin");
  create
      ->add_option("kind", options->kind,
                   "device, layer, model, optimizer, data, dispatch, metrics or schedule")
      ->required();
  create->add_option("name", options->name, "the component's name: a-z, 0-9 and _")->required();
  create->add_option("--dir", options->directory, "where to write it; default ./KIND-NAME");

  return [list, describe, check, options] {
    if (!check->parsed()) refuse_ranks("plugins");
    if (list->parsed()) return run_list(*options);
    if (check->parsed()) return run_check(*options);
    return describe->parsed() ? run_describe(*options) : run_new(*options);
  };
}

}  // namespace

extern const Command plugins_command{"plugins", "list, describe, begin and check plugins", &declare, true};

}  // namespace caravan::jobs
