#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "caravan/check.hpp"
#include "jobs/asked_to_leave.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/convert/convert.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/watch/stop_request.hpp"

namespace caravan::jobs {
namespace {

constexpr const char* kShardSize = "5GB";

struct CommandLine {
  ConvertOptions options;
  std::string to, dtype, layout = "per-layer";
  std::optional<std::string> shard_size;
};

ConvertOptions options_of(const CommandLine& line) {
  ConvertOptions options = line.options;
  options.to = format_of(line.to);
  if (!line.dtype.empty()) options.dtype = weight_type_of(line.dtype);
  options.shard_bytes = bytes_from(line.shard_size.value_or(kShardSize));
  options.stacks_layers = line.layout == "stacked";
  CARAVAN_CHECK(
      !options.stacks_layers || options.to == ModelFormat::hdf5, ConfigError,
      fmt::format("--layout=stacked with --to {} (only checkpoints stack layers). Leave it out?", line.to));
  CARAVAN_CHECK(!line.shard_size || options.to == ModelFormat::hf, ConfigError,
                fmt::format("--shard-size={} with --to {} (only Hugging Face's files are divided by size). "
                            "Leave it out?",
                            *line.shard_size, line.to));
  const bool is_meta = options.to == ModelFormat::meta;
  CARAVAN_CHECK(
      is_meta || options.model_parallel == 1, ConfigError,
      fmt::format("--model-parallel={} with --to {} (only Meta's files are divided so). Leave it out?",
                  options.model_parallel, line.to));
  return options;
}

int run(const CommandLine& line) {
  const ConvertOptions options = options_of(line);
  const StopRequest stop;
  /// Whoever asks a conversion to leave finds nothing of it.
  const auto leave_when_asked = [&] {
    if (stop.signal() == 0) return;
    throw AskedToLeave(
        fmt::format("asked to leave by signal {} (nothing is at {}, and what was written is gone). "
                    "The same command starts again?",
                    stop.signal(), options.destination));
  };
  return with_world([&](Communicator& world) {
    convert(options, world, leave_when_asked);
    return 0;
  });
}

std::function<int()> declare(CLI::App& app) {
  auto line = std::make_shared<CommandLine>();
  app.add_option("source", line->options.source,
                 "a run (its newest checkpoint), a checkpoint, a Hugging Face folder, one of "
                 "Meta's, or a safetensors file")
      ->required();
  app.add_option("destination", line->options.destination,
                 "what is written: a folder, or a file of --to safetensors; nothing may stand there")
      ->required();
  app.add_option("--to", line->to,
                 "hf: a folder for transformers; hdf5: a checkpoint of caravan; "
                 "safetensors: one file with torchtitan's names; meta: a folder of .pth files")
      ->required()
      ->check(CLI::IsMember(format_words()));
  app.add_option("--dtype", line->dtype, "of the weights; as they are stored where this is not given")
      ->check(CLI::IsMember(weight_type_words()));
  app.add_option("--shard-size", line->shard_size, "most bytes of tensors in a file of --to hf")
      ->default_str(kShardSize);
  app.add_option("--layout", line->layout,
                 "of --to hdf5: a tensor for each layer, or one for all layers of a kind with a leading axis")
      ->check(CLI::IsMember({"per-layer", "stacked"}))
      ->capture_default_str();
  add_integer(app, "--model-parallel", line->options.model_parallel, "[1, 64]",
              "files of --to meta, which divide the tensors");
  app.add_option("--config", line->options.config,
                 "of a safetensors file: a config.json, or a job or its section model, that says which model "
                 "it is");
  app.add_flag("--dry-run", line->options.is_dry_run, "check everything and say what would be written");
  return [line] { return run(*line); };
}

}  // namespace

extern const Command convert_command{
    "convert", "Models between formats: Hugging Face's and Meta's folders, checkpoints, safetensors",
    &declare, true};

}  // namespace caravan::jobs
