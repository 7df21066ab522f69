#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "io/files/pending_file.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/drawing/pager.hpp"
#include "jobs/inspect/view.hpp"
#include "jobs/outputs.hpp"
#include "jobs/setup/model_files.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

enum class Format { text, json };

struct CommandLine {
  InspectOptions options;
  Format format = Format::text;
  std::vector<std::string> exported;  ///< tensor and file
};

void check_files(const InspectOptions& options) {
  std::vector<io::NamedFile> inputs;
  for (const std::string& path : options.paths) add_model_files("the path", path, inputs);
  check_user_outputs({{"--svg", options.svg}, {"--export", options.file}}, inputs);
}

int run(const CommandLine& line) {
  check_files(line.options);
  const bool is_json = line.format == Format::json;
  const Report report = inspect(line.options, is_json ? TextStyle{} : style_of_standard_output());
  if (!line.options.svg.empty()) io::write_output(line.options.svg, report.svg);
  if (is_json) {
    print_report(report, ReportAs::json);
  } else {
    const bool is_foreign = line.options.view == InspectView::job;  // its colours are not ours
    page_standard_output(report.text, is_foreign ? TextKind::lines : TextKind::styled_lines);
  }
  return report.exit_code;
}

/// The views exclude each other.
void declare_views(CLI::App& app, const std::shared_ptr<CommandLine>& line) {
  InspectOptions& options = line->options;
  CLI::Option_group* views = app.add_option_group("views", "one of these in place of the tree");
  const auto flag = [&](const char* name, InspectView view, const char* what) {
    views->add_flag_callback(
        name, [line, view] { line->options.view = view; }, what);
  };
  flag("--stats", InspectView::statistics,
       "min, max, mean, std, norm, absmax, zeros, NaN and Inf of tensors");
  flag("--histogram", InspectView::histogram, "histograms of tensors");
  flag("--norms", InspectView::norms, "norms by layer and kind of parameter");
  flag("--experts", InspectView::experts, "bias and balance of experts");
  flag("--diff", InspectView::diff, "what differs between two paths; exit code 1 when something does");
  flag("--verify", InspectView::verify, "compare every byte with the manifest; exit code 3 for damage");
  flag("--job", InspectView::job, "print only the resolved job that wrote it");
  views->add_option("--tokens", options.range, "BEGIN:END: that stretch of token shards as text")
      ->each([line](const std::string&) { line->options.view = InspectView::tokens; });
  views->add_option("--show", options.tensor, "NAME or NAME[0:4,:]: print values")
      ->each([line](const std::string&) { line->options.view = InspectView::show; });
  views
      ->add_option("--export", line->exported,
                   "NAME or NAME[0:4,:], and FILE.npy for numpy (bf16 as float32)")
      ->expected(2)
      ->each([line](const std::string&) { line->options.view = InspectView::export_npy; });
  views->require_option(0, 1);
}

/// Refuses an option beside a view that would not look at it.
void declare_fitting(CLI::App& app) {
  const auto only_beside = [&](const char* name, const char* view) {
    app.get_option(name)->needs(app.get_option(view));
  };
  const auto never_beside = [&](const char* name, const std::vector<const char*>& views) {
    for (const char* view : views) app.get_option(name)->excludes(app.get_option(view));
  };
  only_beside("--bins", "--histogram");
  only_beside("--rtol", "--diff");
  only_beside("--atol", "--diff");
  const std::vector<const char*> without_names{"--experts", "--verify", "--job",
                                               "--tokens",  "--show",   "--export"};
  never_beside("--tensors", without_names);
  never_beside("--depth", without_names);
  never_beside("--depth", {"--stats", "--histogram", "--norms", "--diff"});
}

void declare_numbers(CLI::App& app, InspectOptions& options) {
  add_wanted_integer(app, "--depth", options.depth, "[0, 1000]", "levels of the tree; 0: all");
  add_integer(app, "--bins", options.bins, "[1, 1000]", "of a histogram");
  add_number(app, "--rtol", options.rtol, ">= 0", "--diff allows |a - b| <= atol + rtol |b|");
  add_number(app, "--atol", options.atol, ">= 0", "see --rtol");
}

std::function<int()> declare(CLI::App& app) {
  auto line = std::make_shared<CommandLine>();
  InspectOptions& options = line->options;
  app.add_option("path", options.paths,
                 "a run (its newest checkpoint), a checkpoint's folder, a folder of token shards, or an HDF5 "
                 "file; two "
                 "for --diff")
      ->required()
      ->expected(1, 2);
  declare_views(app, line);
  app.add_option("--tensors", options.patterns,
                 "globs of tensor names; one that starts with / is compared with whole paths")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  declare_numbers(app, options);
  app.add_option("--svg", options.svg, "a file for the picture of --histogram, --norms or --experts");
  app.add_flag_callback(
      "--json", [line] { line->format = Format::json; }, "one JSON object");
  declare_fitting(app);
  return [line] {
    if (line->options.view == InspectView::export_npy) {
      line->options.tensor = line->exported.at(0);
      line->options.file = line->exported.at(1);
    }
    return run(*line);
  };
}

}  // namespace

extern const Command inspect_command{
    "inspect",
    "Look into HDF5 checkpoints and token shards: tensors, statistics, differences, integrity, job, text",
    &declare};

}  // namespace caravan::jobs
