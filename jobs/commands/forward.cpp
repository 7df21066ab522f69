#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/safetensors/writer.hpp"
#include "jobs/command.hpp"
#include "jobs/forward/forward_pass.hpp"
#include "jobs/forward/gradient_file.hpp"
#include "jobs/forward/inputs.hpp"
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

void write_answers(const std::string& path, const Sequences& sequences, Answers& answers,
                   std::int64_t vocab) {
  io::SafetensorsWriter writer(path);
  writer.add("logits",
             TensorView(answers.logits.data(), DType::f32, {sequences.count, sequences.length, vocab}));
  auto loss = static_cast<float>(answers.loss);
  writer.add("loss", TensorView(&loss, DType::f32, {1}));
  for (Answers::Router& router : answers.routers) {
    const std::string number = router.layer.substr(router.layer.rfind('.') + 1);
    writer.add("router." + number, TensorView(router.scores.data(), DType::f32,
                                              {sequences.count * sequences.length, router.experts}));
  }
  writer.commit();
}

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

/// Evaluation semantics whatever the model was trained with. Its parameters stay those that are stored.
Config evaluated(Config model) {
  for (const char* key : {"dropout", "attention_dropout", "balance_loss"}) model.set(key, "0");
  return model;
}

/// Without the parameters of noise too.
Config without_noise(Config model) {
  model.set("noisy", "false");
  return model;
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

/// Which tokens an expert takes depends on what a sequence is and on how long it is. Masks and positions
/// leave the one open, and rows that are filled up change the other.
void check_capacity(const Config& model, const Sequences& sequences, const Mesh& mesh) {
  const Config& factor = model.find("capacity_factor");
  if (factor.is_null()) return;
  CARAVAN_CHECK(sequences.attended.empty() && sequences.positions.empty(), ConfigError,
                fmt::format("attention_mask or position_ids with model.capacity_factor={} (experts take the "
                            "first tokens of each sequence, and it is not said which those are). Inputs "
                            "without them?",
                            factor.text()));
  CARAVAN_CHECK(
      sequences.length % filled_to(mesh) == 0, ConfigError,
      fmt::format("sequences of {} tokens on {} context and {} tensor ranks with "
                  "model.capacity_factor={} (their rows are filled up to a multiple of {}, and of "
                  "longer sequences an expert takes more). Sequences of {} tokens, or fewer "
                  "ranks?",
                  sequences.length, mesh.degree(MeshAxis::cp), mesh.degree(MeshAxis::tp), factor.text(),
                  filled_to(mesh), (sequences.length / filled_to(mesh) + 1) * filled_to(mesh)));
}

int forward(const Options& options, Communicator& world) {
  check_files(options);
  ModelSource source = open_model(options.model);
  const auto registry = make_registry();
  const auto device = choose_device(*registry, options.device);
  const DType compute = choose_precision(*device, options.precision);
  const Sequences sequences = read_sequences(options.inputs, source.model.get_int("vocab_size"));
  const std::unique_ptr<Mesh> mesh = make_mesh(world, options.degrees, *device);
  check_capacity(source.model, sequences, *mesh);
  const std::int64_t positions = positions_on(*mesh, sequences);
  const ComputeOn where{device.get(), compute, mesh.get()};
  const Config evaluation = evaluated(source.model);
  ModelInstance stored(*registry, where, source.plugin, evaluation, positions);  // never allocated
  ModelInstance model(*registry, where, source.plugin, without_noise(evaluation), positions);
  const bool differentiates = !options.gradients.empty();
  using Content = ParameterStore::Content;
  model.allocate(differentiates ? Content::weights_and_gradients : Content::weights, 0);
  load_weights(source, model.parameters(), stored.parameters());
  Answers answers = answer(*device, model, *mesh, world, sequences,
                           differentiates ? Gradients::of_mean_loss : Gradients::none);
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
  app.add_option(
         "--inputs", options->inputs,
         "safetensors with input_ids [B, T], perhaps labels [B, T] (as transformers takes them: labels[t] "
         "belongs to token t, which token t - 1 predicts), attention_mask [B, T], position_ids [B, T] or "
         "[1, T]")
      ->required();
  app.add_option("--outputs", options->outputs,
                 "safetensors to write: logits [B, T, V], loss, router.<layer> [B*T, E]; 0 at masked tokens")
      ->required();
  app.add_option(
      "--gradients", options->gradients,
      "safetensors to write: gradients of the loss under the names and shapes of the model's own format");
  app.add_option("--device", options->device, "auto, cuda, host or reference")->capture_default_str();
  app.add_option("--precision", options->precision,
                 "What activations and weights are computed in: auto (what the device prefers), fp32 or bf16")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->capture_default_str();
  declare_degrees(app, options->degrees);
  declare_context(app, options->degrees);
  return [options] { return with_world([&](Communicator& world) { return forward(*options, world); }); };
}

}  // namespace

extern const Command forward_command{
    "forward", "Logits, loss, routing and gradients of a model for given tokens", &declare, true};

}  // namespace caravan::jobs
