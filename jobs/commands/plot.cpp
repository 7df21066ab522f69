#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/drawing/terminal.hpp"
#include "jobs/outputs.hpp"
#include "jobs/plot/csv.hpp"
#include "jobs/plot/picture.hpp"
#include "jobs/plot/svg_picture.hpp"
#include "jobs/plot/terminal_picture.hpp"
#include "jobs/text_streams.hpp"
#include "jobs/watch/stop_request.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  std::vector<std::string> runs, what;
  std::string svg, csv;
  PictureOptions picture;
  int width = 0, height = 0;  ///< 0: as the terminal has
  bool follow = false;

  bool has_file() const { return !svg.empty() || !csv.empty(); }
};

TerminalSize size_of(const Options& options) {
  const int rows = terminal_rows();
  TerminalSize size;
  if (rows > 0) size = {style_of_standard_output().columns, rows - 1};  // the prompt needs one
  if (options.width > 0) size.columns = options.width;
  if (options.height > 0) size.rows = options.height;
  return size;
}

std::string drawn(const Picture& picture, const Options& options) {
  const bool is_coloured = style_of_standard_output().ink == Ink::colour;
  return draw_text(picture, size_of(options), {locale_is_utf8(), is_coloured});
}

std::vector<RunRecords> read(const Options& options, RunRecords::Wait wait) {
  std::vector<RunRecords> runs;
  for (const std::string& run : options.runs) runs.emplace_back(run, wait);
  return runs;
}

void write(const Picture& picture, const Options& options) {
  if (!options.svg.empty()) io::write_output(options.svg, draw_svg(picture));
  if (options.csv == "-")
    write_standard_output(draw_csv(picture));
  else if (!options.csv.empty())
    io::write_output(options.csv, draw_csv(picture));
  for (const std::string& note : picture.notes) log_warning(note);
}

int show(const Options& options) {
  const Picture picture =
      make_picture(read(options, RunRecords::Wait::no), options.picture, RunRecords::Wait::no);
  options.has_file() ? write(picture, options)
                     : write_standard_output(drawn(picture, options), TextKind::styled_lines);
  return 0;
}

/// A second, or less when somebody asks to leave.
void wait_a_second(const StopRequest& stop) {
  for (int i = 0; i < 20 && stop.signal() == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

int follow(const Options& options) {
  const StopRequest stop;
  std::vector<RunRecords> runs = read(options, RunRecords::Wait::yes);
  OverwrittenOutput output;
  std::string shown;
  for (bool is_new = true; stop.signal() == 0; is_new = false) {
    for (RunRecords& run : runs) is_new = run.read_new() || is_new;
    // A terminal that has another size now is drawn on anew, too.
    const std::string text = is_new || terminal_rows() > 0
                                 ? drawn(make_picture(runs, options.picture, RunRecords::Wait::yes), options)
                                 : shown;
    if (text != shown) output.show(text, TextKind::styled_lines);
    shown = text;
    wait_a_second(stop);
  }
  log_info(fmt::format("signal {} asked to leave: the runs go on", stop.signal()));
  return static_cast<int>(ExitCode::requeue);
}

std::vector<io::NamedFile> inputs_of(const Options& options) {
  std::vector<io::NamedFile> inputs;
  for (const std::string& run : options.runs)
    inputs.push_back({"the run", std::filesystem::is_directory(run) ? run + "/metrics.jsonl" : run});
  return inputs;
}

int run(Options& options) {
  PictureOptions& picture = options.picture;
  picture.what = curves_of(options.what);
  CARAVAN_CHECK(
      picture.from <= picture.to, ConfigError,
      fmt::format("--from {} --to {} (no step is between). The other way round?", picture.from, picture.to));
  CARAVAN_CHECK(options.runs.size() <= kMostRuns, ConfigError,
                fmt::format("{} runs (each has a letter, a to z). Fewer at once?", options.runs.size()));
  CARAVAN_CHECK(!options.follow || !options.has_file(), ConfigError,
                fmt::format("--follow beside {} (it draws on the terminal only). One of them?",
                            options.svg.empty() ? "--csv" : "--svg"));
  const bool is_printed = options.csv == "-";
  check_user_outputs({{"--svg", options.svg}, {"--csv", is_printed ? "" : options.csv}}, inputs_of(options));
  return options.follow ? follow(options) : show(options);
}

void declare_choice(CLI::App& app, Options& options) {
  PictureOptions& picture = options.picture;
  app.add_option("run", options.runs, "output folders of runs, or files such as their metrics.jsonl")
      ->required();
  app.add_option(
         "--what", options.what,
         "loss, validation, lr, norm, tokens, balance; default: loss, and validation where there is one")
      ->delimiter(',')
      ->allow_extra_args(false);
  const std::string steps = ">= 0";
  add_integer(app, "--from", picture.from, steps, "the first step that is drawn");
  add_integer(app, "--to", picture.to, steps, "the last one")->default_str("");
  add_integer(app, "--smooth", picture.smooth, "[1, 2000]",
              "each value is the mean of those of so many steps");
  app.add_flag("--log", picture.is_logarithmic, "logarithmic axes of values");
}

std::function<int()> declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  declare_choice(app, *options);
  app.add_option("--svg", options->svg, "a picture in this file in place of the terminal's");
  app.add_option("--csv", options->csv, "a table in this file in place of the picture; -: standard output");
  add_wanted_integer(app, "--width", options->width, "[20, 1000]",
                     "columns of the terminal's picture; default: as it has, 80 when it is none");
  add_wanted_integer(app, "--height", options->height, "[8, 1000]",
                     "its lines; default: as it has, 20 when it is none");
  app.add_flag("--follow", options->follow, "draws again as steps come, until Ctrl-C");
  return [options] { return run(*options); };
}

}  // namespace

extern const Command plot_command{
    "plot", "Draws losses, rates and norms of runs: on the terminal, as SVG, as a table; follows them",
    &declare};

}  // namespace caravan::jobs
