#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caravan/log.hpp"
#include "jobs/command.hpp"
#include "jobs/forward/answer_file.hpp"
#include "jobs/forward/evaluated_model.hpp"
#include "jobs/forward/gradient_file.hpp"
#include "jobs/forward/inputs.hpp"
#include "jobs/model_options.hpp"
#include "jobs/outputs.hpp"
#include "jobs/rank_degrees.hpp"
#include "jobs/setup/finite.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/model_files.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/state/model_source.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  std::string model, inputs, outputs, gradients, device = "auto", precision = "auto";
  RankDegrees degrees;
};

/// The values are written as they are.
void warn_of_numbers(const Sequences& sequences, const Answers& answers, std::int64_t vocab) {
  const auto bad = find_not_finite(answers.logits);
  if (!bad) return;
  const auto row = static_cast<std::int64_t>(bad->first) / vocab;
  log_warning(fmt::format(
      "{} of {} logits are not finite (the first, of sequence {} at position {}, is {}). Are the weights "
      "finite? `caravan inspect CHECKPOINT --stats` counts what is not",
      bad->count, answers.logits.size(), row / sequences.length, row % sequences.length, name_of(*bad)));
}

/// Every output is another file, and none is an input: the second would replace the first, after all the
/// work.
void check_files(const Options& options) {
  std::vector<io::NamedFile> inputs{{"--inputs", options.inputs}};
  add_model_files("a file of --model", options.model, inputs);
  check_user_outputs({{"--outputs", options.outputs}, {"--gradients", options.gradients}}, inputs);
}

void print_loss(const Sequences& sequences, double loss) {
  write_standard_output(fmt::format("loss {:.8f} over {} of {}{}\n", loss,
                                    counted(sequences.count, "sequence"), counted(sequences.length, "token"),
                                    sequences.has_labels ? "" : " (no labels given: of each next token)"));
}

int forward(const Options& options, Communicator& world) {
  check_files(options);
  const ModelSource source = open_model(options.model);
  const auto registry = make_registry();
  const auto device = choose_device(*registry, options.device);
  const DType compute = choose_precision(*device, options.precision);
  const Sequences sequences = read_sequences(options.inputs, source.model.get_int("vocab_size"));
  const std::unique_ptr<Mesh> mesh = make_mesh(world, options.degrees, *device);
  const bool differentiates = !options.gradients.empty();
  EvaluatedModel evaluated(source, *registry, {device.get(), compute, mesh.get()}, sequences,
                           differentiates ? Gradients::of_mean_loss : Gradients::none);
  Answers answers = evaluated.answer(world);
  ModelInstance& model = evaluated.instance();
  std::optional<WholeGradients> gradients;
  if (differentiates) gradients.emplace(*device, model.parameters(), *mesh);
  if (world.rank() != 0) return 0;
  warn_of_numbers(sequences, answers, model.stage().vocab_size());
  write_answers(options.outputs, sequences, answers, model.stage().vocab_size());
  if (differentiates) write_gradients(options.gradients, *gradients, source.weights->hf_style());
  print_loss(sequences, answers.loss);
  return 0;
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--model", options->model, "A Hugging Face folder, a checkpoint, or a run's folder")
      ->required();
  declare_inputs(app, options->inputs);
  app.add_option("--outputs", options->outputs,
                 "safetensors to write: logits [B, T, V], loss, router.<layer> [B*T, E]; 0 at masked tokens")
      ->required();
  app.add_option(
      "--gradients", options->gradients,
      "safetensors to write: gradients of the loss under the names and shapes of the model's own format");
  declare_device(app, "--device", options->device);
  declare_precision(app, "--precision", options->precision);
  declare_degrees(app, options->degrees);
  declare_context(app, options->degrees);
  return [options] { return with_world([&](Communicator& world) { return forward(*options, world); }); };
}

}  // namespace

extern const Command forward_command{
    "forward", "Logits, loss, routing and gradients of a model for given tokens", &declare, true};

}  // namespace caravan::jobs
