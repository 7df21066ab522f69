#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/evaluate/evaluation_data.hpp"
#include "jobs/evaluate/report.hpp"
#include "jobs/model_options.hpp"
#include "jobs/setup/with_world.hpp"

namespace caravan::jobs {
namespace {

using Options = EvaluateOptions;

/// Each of `names` that is given would have no effect.
void refuse_given(const CLI::App& app, std::initializer_list<const char*> names, const std::string& why) {
  for (const char* name : names)
    CARAVAN_CHECK(app.count(name) == 0, ConfigError, fmt::format("{} with {}. Leave it out?", name, why));
}

void check(const CLI::App& app, Options& options) {
  io::WindowOptions& windows = options.windows;
  if (is_shards(options.data))
    refuse_given(app, {"--format", "--field", "--binary", "--document-separator", "--bos", "--eos"},
                 "token shards (their documents are tokens already)");
  if (options.per_document)
    refuse_given(app,
                 {"--split", "--validation-fraction", "--document-mask", "--ignore-border-labels", "--batch",
                  "--sequences"},
                 "--per-document (each document is a sequence by itself, one at a time)");
  CARAVAN_CHECK((options.split == "all") == (windows.validation_fraction == 0), ConfigError,
                fmt::format("--split {} with --validation-fraction {} ({}). Both, or neither?", options.split,
                            windows.validation_fraction,
                            options.split == "all" ? "all of the tokens are read" : "nothing is held out"));
  windows.split = options.split == "validation" ? io::Split::validation
                  : options.split == "train"    ? io::Split::train
                                                : io::Split::all;
}

int run(const Options& options) {
  return with_world([&](Communicator& world) {
    const Evaluation found = evaluate(options, world);
    if (world.rank() != 0) return 0;
    const Report report =
        report_of(options, found, options.json ? Ink::plain : style_of_standard_output().ink);
    print_report(report, options.json ? ReportAs::json : ReportAs::text);
    log_info(fmt::format("{:.0f} tokens in {:.2f} s, {:.0f} tokens/s", found.total.tokens, found.seconds,
                         found.total.tokens / std::max(found.seconds, 1e-9)));
    return 0;
  });
}

void declare_data(CLI::App& app, Options& options) {
  declare_text(app, options.data, "--data", "; or one folder of token shards");
  app.add_option("--tokenizer", options.tokenizer,
                 "Tokenizer, when the model or the shards have none; one that it was not trained with is "
                 "refused");
  app.add_option("--document-separator", options.separator, "What ends a document of plain text")
      ->check(CLI::IsMember({"file", "blank-line", "line"}))
      ->capture_default_str();
  app.add_flag("--bos", options.bos, "Begin every document with the tokenizer's BOS token");
  app.add_flag("--eos", options.eos, "End every document with the tokenizer's EOS token");
}

void declare_windows(CLI::App& app, Options& options) {
  io::WindowOptions& windows = options.windows;
  add_wanted_integer(app, "--sequence-length", windows.sequence_length, "[1, 16777216]",
                     "Tokens of a sequence; default: of a run those that it trained with, else at most 2048");
  app.add_option("--split", options.split, "The part of the tokens that is measured; validation is the tail")
      ->check(CLI::IsMember({"all", "train", "validation"}))
      ->capture_default_str();
  add_number(app, "--validation-fraction", windows.validation_fraction, "[0, 1)",
             "How much of the tokens validation holds out");
  app.add_flag("--document-mask", windows.document_mask, "Tokens see those of their own document only");
  app.add_flag("--ignore-border-labels", windows.ignore_border_labels,
               "The last token of a document need not predict the next document");
  add_integer(app, "--batch", options.batch, "[1, 1048576]", "Sequences at a time on each rank");
  add_wanted_integer(app, "--sequences", options.most_sequences, "[1, 1000000000000]",
                     "Measure so many at most, from the first on");
  app.add_flag("--per-document", options.per_document,
               "Each document by itself, and its numbers: no token sees another document, every token but "
               "the first is predicted once");
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--model", options->model, "A Hugging Face folder, one of Meta's, a checkpoint, or a run")
      ->required();
  declare_data(app, *options);
  declare_windows(app, *options);
  declare_device(app, "--device", options->device);
  declare_precision(app, "--precision", options->precision);
  declare_degrees(app, options->degrees);
  declare_context(app, options->degrees);
  declare_pipeline(app, options->degrees);
  app.add_flag("--json", options->json, "Print one JSON object");
  return [options, &app] {
    check(app, *options);
    return run(*options);
  };
}

}  // namespace

extern const Command evaluate_command{
    "evaluate", "Loss, perplexity and bits a byte of a model on texts or token shards", &declare, true};

}  // namespace caravan::jobs
