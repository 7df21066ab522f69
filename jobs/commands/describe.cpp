#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "io/files/pending_file.hpp"
#include "jobs/command.hpp"
#include "jobs/describe/completion.hpp"
#include "jobs/describe/job_reference.hpp"
#include "jobs/describe/man_pages.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/text_streams.hpp"
#include "jobs/verbs.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  bool json = false, markdown = false;
  std::string section, folder;
};

/// The command line as main builds it.
class CommandLine {
 public:
  CommandLine() {
    for (const Command* command : verbs())
      actions_.push_back(command->declare(*app_.add_subcommand(command->name, command->summary)));
  }
  const CLI::App& app() const { return app_; }

 private:
  CLI::App app_{"pre-trains, evaluates, converts and decodes mixture-of-experts transformers", "caravan"};
  std::vector<std::function<int()>> actions_;  // what options are read into lives as long
};

int run_job(const Options& options) {
  const DescribeStyle style = options.json       ? DescribeStyle::json
                              : options.markdown ? DescribeStyle::markdown
                                                 : DescribeStyle::text;
  write_standard_output(job_reference(*make_registry(), options.section, style));
  return 0;
}

int run_manual(const Options& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  CARAVAN_CHECK(!error, IoError, fmt::format("cannot create {} ({})", options.folder, error.message()));
  for (const Page& page : man_pages(CommandLine().app(), CARAVAN_VERSION)) {
    const std::string path = (std::filesystem::path(options.folder) / page.name).string();
    io::write_output(path, page.text);
    write_standard_output(path + "\n");
  }
  return 0;
}

int run_completion(const Options&) {
  write_standard_output(bash_completion(CommandLine().app(), CARAVAN_VERSION));
  return 0;
}

std::function<int()> declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* job = app.add_subcommand("job", "every key of a job file: type, default, unit, range, meaning");
  job->add_option("section", options->section, "one section alone, such as train or checkpoint.from");
  CLI::Option* json = job->add_flag("--json", options->json, "one JSON object");
  job->add_flag("--markdown", options->markdown, "a reference page")->excludes(json);

  CLI::App* manual = app.add_subcommand("manual", "writes manual pages of all verbs");
  manual->add_option("--output", options->folder, "folder of the pages")->required()->type_name("FOLDER");
  app.add_subcommand("completion", "prints a script for bash that completes verbs and options");

  return [job, manual, options] {
    if (job->parsed()) return run_job(*options);
    return manual->parsed() ? run_manual(*options) : run_completion(*options);
  };
}

}  // namespace

extern const Command describe_command{"describe", "keys of jobs, manual pages, completion for the shell",
                                      &declare};

}  // namespace caravan::jobs
