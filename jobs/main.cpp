#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <functional>
#include <sstream>

#include "caravan/config.hpp"
#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "jobs/command.hpp"
#include "jobs/text_streams.hpp"
#include "jobs/verbs.hpp"
#include "jobs/version/version.hpp"
#include "parallel/mpi_session.hpp"

namespace caravan::jobs {
namespace {

/// Exit code of CLI11's own outcome: 0 for --help and --version, 2 for wrong use.
int finish_parse(const CLI::App& app, const CLI::ParseError& outcome) {
  std::ostringstream answer, complaint;
  const int code = app.exit(outcome, answer, complaint);
  write_standard_output(answer.str());
  if (code == 0) return 0;
  std::string text = complaint.str();
  text.erase(text.find_last_not_of('\n') + 1);
  log_error(text);
  return static_cast<int>(ExitCode::wrong_use);
}

/// CLI11 would only say that a verb is required.
void check_verb(const std::string& given) {
  if (given.starts_with('-')) return;
  std::vector<std::string> names;
  for (const Command* command : verbs()) names.emplace_back(command->name);
  if (std::find(names.begin(), names.end(), given) != names.end()) return;
  if (given.empty())
    throw ConfigError(
        fmt::format("no verb given. Known: {}; `caravan VERB --help` says more", fmt::join(names, ", ")));
  const std::string near = nearest_name(given, names);
  throw ConfigError(fmt::format("no verb '{}'. {}", given,
                                near.empty() ? fmt::format("Known: {}.", fmt::join(names, ", "))
                                             : fmt::format("Did you mean '{}'?", near)));
}

void declare(const Command& command, CLI::App& app, std::function<int()>& chosen) {
  CLI::App* verb = app.add_subcommand(command.name, command.summary);
  const std::function<int()> action = command.declare(*verb);
  verb->callback([&command, &chosen, action] {
    chosen = [&command, action] {
      if (!command.runs_on_ranks) refuse_ranks(command.name);
      return action();
    };
  });
}

/// Threads that wait for others look for work for a moment and then sleep. GNU's OpenMP looks for
/// milliseconds, which is a tenth of the speed and less where other programs want the cores too
/// (docs/performance.md). It reads this when the first plugin that has it is opened.
void let_waiting_threads_sleep() {
  if (!std::getenv("OMP_WAIT_POLICY")) ::setenv("GOMP_SPINCOUNT", "3000", 0);
}

int run(int argc, char** argv) {
  check_verb(argc > 1 ? argv[1] : "");
  CLI::App app{
      "caravan: pre-trains, evaluates, converts and decodes Llama 4 mixture-of-experts transformers"};
  app.set_version_flag("--version", &version_text, "Version, commit, and what this build has");
  app.require_subcommand(1);
  std::function<int()> chosen;
  for (const Command* command : verbs()) declare(*command, app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& outcome) {
    return finish_parse(app, outcome);
  }
  return chosen();
}

}  // namespace
}  // namespace caravan::jobs

int main(int argc, char** argv) {
  caravan::jobs::occupy_closed_streams();
  caravan::jobs::let_waiting_threads_sleep();
  try {
    const int code = caravan::jobs::run(argc, argv);
    if (code == 0) caravan::jobs::check_standard_output();  // else the cause was said
    return code;
  } catch (const std::exception& error) {
    caravan::log_error(caravan::parallel::text_of(error));
    return caravan::parallel::exit_code_of(error);
  }
}
