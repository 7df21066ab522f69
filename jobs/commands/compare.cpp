#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/compare/compare.hpp"
#include "jobs/compare/side.hpp"
#include "jobs/model_options.hpp"
#include "jobs/rank_degrees.hpp"
#include "jobs/setup/with_world.hpp"

namespace caravan::jobs {
namespace {

struct CommandLine {
  CompareOptions options;
  std::string device = "auto", precision = "fp32";  ///< of a side that has none of its own
  bool json = false;
};

/// Of --device or --precision. The answers in a file were computed somewhere else.
void check_looked_at(const CLI::App& app, const std::string& name, const std::string& b) {
  const bool has_own_a = app.count(name + "-a") > 0, has_own_b = app.count(name + "-b") > 0;
  CARAVAN_CHECK(
      !has_own_b || !is_answer_file(b), ConfigError,
      fmt::format("{}-b with {} (it holds answers, which nothing computes here). Leave it out?", name, b));
  CARAVAN_CHECK(app.count(name) == 0 || !has_own_a || !(has_own_b || is_answer_file(b)), ConfigError,
                fmt::format("{} beside {}-a (no side is left for it). Leave it out?", name, name));
}

CompareOptions options_of(const CommandLine& line) {
  CompareOptions options = line.options;
  for (SideOptions* side : {&options.a, &options.b}) {
    if (side->device.empty()) side->device = line.device;
    if (side->precision.empty()) side->precision = line.precision;
  }
  return options;
}

int run(const CommandLine& line) {
  return with_world([&](Communicator& world) {
    const Report report =
        compare(options_of(line), world, line.json ? Ink::plain : style_of_standard_output().ink);
    if (world.rank() != 0) return report.exit_code;
    print_report(report, line.json ? ReportAs::json : ReportAs::text);
    return report.exit_code;
  });
}

void declare_sides(CLI::App& app, CommandLine& line) {
  CompareOptions& options = line.options;
  app.add_option("a", options.a.path, "a Hugging Face folder, one of Meta's, a checkpoint, or a run")
      ->required();
  app.add_option("b", options.b.path,
                 "the same, or a safetensors file with the answers that are expected: logits [B, T, V], "
                 "perhaps loss and router.<layer>, as `caravan forward` writes them")
      ->required();
  declare_inputs(app, options.inputs);
  declare_device(app, "--device", line.device);
  declare_device(app, "--device-a", options.a.device, "of A alone");
  declare_device(app, "--device-b", options.b.device, "of B alone");
  declare_precision(app, "--precision", line.precision);
  declare_precision(app, "--precision-a", options.a.precision, "of A alone");
  declare_precision(app, "--precision-b", options.b.precision, "of B alone");
}

void declare_tolerances(CLI::App& app, CompareOptions& options) {
  add_number(app, "--tolerance", options.tolerance, ">= 0",
             "the largest difference of two logits that passes; the default is for fp32");
  const auto take = [&options](const CLI::results_t& texts) {
    options.tolerance_kl = read_number("--tolerance-kl", texts.at(0), ">= 0");
    return true;
  };
  add_texts(app, "--tolerance-kl", take,
            "the largest mean KL divergence of A from B that passes; without it any does",
            shown_type("NUMBER", ">= 0"));
}

std::function<int()> declare(CLI::App& app) {
  auto line = std::make_shared<CommandLine>();
  declare_sides(app, *line);
  declare_tolerances(app, line->options);
  declare_degrees(app, line->options.degrees);
  declare_context(app, line->options.degrees);
  app.add_flag("--json", line->json, "one JSON object");
  return [line, &app] {
    for (const char* name : {"--device", "--precision"}) check_looked_at(app, name, line->options.b.path);
    return run(*line);
  };
}

}  // namespace

extern const Command compare_command{
    "compare",
    "Whether two models answer alike: logits, KL divergence, top-1, loss, experts; exit code 1 when not",
    &declare, true};

}  // namespace caravan::jobs
