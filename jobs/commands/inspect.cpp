#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <span>

#include "caravan/check.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/command.hpp"
#include "jobs/inspect/overview.hpp"
#include "jobs/inspect/statistics_view.hpp"
#include "jobs/inspect/verification.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct CommandLine {
  InspectOptions options;
  bool json = false;
  std::string svg;
};

Report job_of(const Subject& subject) {
  const std::string job = required_checkpoint(subject, "--job").job_yaml();
  return {job, {{"path", subject.path}, {"job", job}}, "", 0};
}

Report report_of(const InspectOptions& options, const TextStyle& style) {
  if (options.view == InspectView::verify) return verification(options, style);
  const Subject subject = open_subject(options.paths.front());
  switch (options.view) {
    case InspectView::statistics:
      return statistics_view(subject, options, style);
    case InspectView::job:
      return job_of(subject);
    default:
      return overview(subject, options, style);
  }
}

int run(const CommandLine& line) {
  const Report report = report_of(line.options, line.json ? TextStyle{} : style_of_standard_output());
  write_standard_output(line.json
                            ? report.json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                            : report.text);
  return report.exit_code;
}

std::function<int()> declare(CLI::App& app) {
  auto line = std::make_shared<CommandLine>();
  InspectOptions& options = line->options;
  app.add_option("path", options.paths,
                 "A run (its newest checkpoint), a checkpoint's folder, or an HDF5 file")
      ->required();
  app.add_option("--tensors", options.patterns,
                 "Globs of tensor names; one that starts with / is compared with whole paths");
  app.add_option("--depth", options.depth, "Levels of the tree to show; 0: all")->check(CLI::Range(0, 1000));
  app.add_flag("--json", line->json, "One JSON object");
  const auto view = [&](const char* flag, InspectView value, const char* what) {
    return app.add_flag_callback(
        flag, [line, value] { line->options.view = value; }, what);
  };
  view("--stats", InspectView::statistics,
       "min, max, mean, std, norm, absmax, zeros, NaN and Inf of tensors");
  view("--job", InspectView::job, "Print only the resolved job that wrote it");
  view("--verify", InspectView::verify,
       "Compare every byte with the digests of the manifest; 3 when it is damaged");
  return [line] { return run(*line); };
}

}  // namespace

extern const Command inspect_command{
    "inspect", "Look into HDF5 checkpoints: tensors, parameters, job, integrity", &declare};

}  // namespace caravan::jobs
