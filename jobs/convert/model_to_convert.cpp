#include "jobs/convert/model_to_convert.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "caravan/log.hpp"
#include "io/files/file.hpp"
#include "io/hf/config_json.hpp"
#include "io/hf/model_path.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/identity/model_tokenizer.hpp"
#include "jobs/job/job.hpp"
#include "jobs/job/resolve_components.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/model_instance.hpp"
#include "jobs/state/merged_source.hpp"
#include "jobs/state/stored_texts.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostConfigBytes = 1'000'000;

const io::CheckpointReader* reader_of(const ModelSource& source) {
  return jobs::reader_of(*source.weights);
}

bool is_config_json(const std::string& path) {
  return fs::path(path).extension() == ".json";
}

/// A model from its configuration alone: a config.json, or a job or its section `model`.
Config model_of(const std::string& path) {
  if (is_config_json(path)) return io::parse_hf_config(io::read_text(path, kMostConfigBytes), path).model;
  const Config tree = Config::load(path);
  return resolve_model(tree.has("model") ? tree.at("model") : tree);
}

std::string plugin_of(Config& model) {
  const Config& named = model.find("plugin");
  const std::string plugin = named.is_null() ? "llama4" : named.as_string();
  model.erase("plugin");
  return plugin;
}

/// A head that stands in the file is taken although the configuration ties it, as in a folder.
void take_stored_head(ModelSource& source, const ConvertOptions& options) {
  const io::WeightSource& weights = *source.weights;
  for (const std::string& sentence : weights.warnings()) log_warning(sentence);
  const Config& tied = source.model.find("tied_head");
  if (tied.is_null() || !tied.as_bool() || !weights.has("output.weight")) return;
  source.model.set("tied_head", Config::scalar("false"));
  if (!weights.hf_style())
    log_warning(fmt::format("{} ties the head, but output.weight stands in {}: the head in the file is used",
                            options.config, options.source));
}

ModelSource source_of_file(const ConvertOptions& options) {
  Config model = model_of(options.config);
  const std::string plugin = plugin_of(model);
  const Config& tied = model.find("tied_head");
  const bool is_tied = !tied.is_null() && tied.as_bool();
  auto weights = io::open_weight_source(options.source, is_tied ? options.config : "");
  ModelSource source{plugin, std::move(model), std::move(weights), "", "", {}};
  take_stored_head(source, options);
  return source;
}

ModelSource open_source(const ConvertOptions& options) {
  const bool is_bare = io::resolve_model_path(options.source).kind == io::ModelPath::Kind::safetensors;
  if (!is_bare) {
    CARAVAN_CHECK(options.config.empty(), ConfigError,
                  fmt::format("--config={} ({} says itself which model it is). Leave it out?", options.config,
                              options.source));
    return open_model(options.source);
  }
  CARAVAN_CHECK(!options.config.empty(), ConfigError,
                fmt::format("{} holds weights alone (nothing says which model they are). --config with a "
                            "config.json or a job?",
                            options.source));
  return source_of_file(options);
}

/// The shapes of all weights are known from the model, and the source must have these.
void select(ModelToConvert& model) {
  const auto registry = make_registry();
  ModelSource& source = model.source;
  source.model = with_defaults(source.model, schema_of(*registry, "model", source.plugin));
  source.model.erase("plugin");
  ModelInstance instance(*registry, {}, source.plugin, source.model, source.model.get_int("positions"));
  model.selection.weights = shapes_of(instance.parameters());
  io::check_weights(*source.weights, model.selection.weights);
  for (const std::string& name : source.weights->companions())
    model.selection.companions.push_back({name, source.weights->shape(name)});
  model.state = state_of(*source.weights, instance.parameters(), model.selection.weights);
}

/// Nothing is lost silently: a link to nothing, or what is no file, is refused.
bool has_file(const fs::path& file) {
  std::error_code problem;
  if (fs::symlink_status(file, problem).type() == fs::file_type::not_found) return false;
  const bool is_file = fs::is_regular_file(file, problem);
  CARAVAN_CHECK(is_file, IoError,
                fmt::format("{} cannot go along ({}). Remove it?", file.string(),
                            problem ? problem.message() : "a link to nothing, or not a file"));
  return true;
}

/// What a model's folder has for people and tokenizers.
std::vector<fs::path> files_along(const fs::path& folder) {
  static constexpr std::array kNames{"tokenizer.json",           "tokenizer.model",
                                     "tokenizer_config.json",    "special_tokens_map.json",
                                     "added_tokens.json",        "chat_template.jinja",
                                     "chat_template.json",       "processor_config.json",
                                     "preprocessor_config.json", "video_preprocessor_config.json"};
  std::vector<fs::path> files;
  for (const char* name : kNames)
    if (!folder.empty() && has_file(folder / name)) files.push_back(folder / name);
  return files;
}

std::string text_of(const fs::path& file) {
  return has_file(file) ? io::read_text(file.string(), kMostConfigBytes) : "";
}

/// Only where the weights are of a config.json was it read: one that lies beside Meta's may be of any model.
void take_folder(ModelToConvert& model) {
  const fs::path folder = model.source.folder;
  model.files = files_along(folder);
  if (!model.source.weights->hf_style()) return;
  model.config_json = text_of(folder / "config.json");
  model.generation_json = text_of(folder / "generation_config.json");
}

/// The tokenizer of a run lies in its folder, or where its job says.
void take_checkpoint(ModelToConvert& model, const io::CheckpointReader& reader) {
  model.config_json = stored_text(reader, kStoredConfig);
  model.generation_json = stored_text(reader, kStoredGeneration);
  model.files = files_along(reader.folder());
  model.has_optimizer = std::any_of(reader.tensors().begin(), reader.tensors().end(), [](const auto& tensor) {
    return tensor.name.starts_with("/optimizer/");
  });
  const Job job = resolve_job(Config::parse(reader.job_yaml(), reader.folder() + " (job)"));
  const std::string tokenizer = tokenizer_of(reader, job).path;
  if (tokenizer.empty() || fs::path(tokenizer).parent_path() == reader.folder()) return;
  model.files = files_along(fs::path(tokenizer).parent_path());
}

/// A job that says which model this is; nobody trained it.
std::string job_of(const ModelSource& source) {
  Config job = Config::map(), model = source.model, data = Config::map(), train = Config::map();
  model.set("plugin", source.plugin);
  data.set("source", "synthetic");
  data.set("vocab_size", source.model.find("vocab_size"));
  train.set("steps", "1");
  job.set("name", "converted");
  job.set("model", std::move(model));
  job.set("data", std::move(data));
  job.set("train", std::move(train));
  return resolve_job(std::move(job)).resolved.to_yaml();
}

void describe_checkpoint(ModelToConvert& model) {
  io::CheckpointHead& head = model.head;
  head.creator = "caravan " CARAVAN_VERSION;
  head.layout = "converted";
  if (const io::CheckpointReader* reader = reader_of(model.source)) {
    head.step = reader->step();
    head.tokens_seen = reader->tokens_seen();
    head.job_yaml = without_adapters(reader->job_yaml());
    head.values = values_to_keep(*reader);
    return;
  }
  head.job_yaml = job_of(model.source);
  const std::string tokenizer = io::find_tokenizer_file(model.source.folder);
  if (!model.source.folder.empty() && !tokenizer.empty())
    head.values.emplace_back("/state/tokenizer_digest", io::tokenizer_digest(tokenizer));
  if (!model.config_json.empty()) head.values.emplace_back(kStoredConfig, model.config_json);
  if (!model.generation_json.empty()) head.values.emplace_back(kStoredGeneration, model.generation_json);
}

}  // namespace

ModelToConvert open_to_convert(const ConvertOptions& options) {
  ModelToConvert model{open_source(options), {}, {}, {}, "", "", false, {}};
  model.selection.dtype = options.dtype;
  select(model);
  if (const io::CheckpointReader* reader = reader_of(model.source))
    take_checkpoint(model, *reader);
  else if (!model.source.folder.empty())
    take_folder(model);
  else if (is_config_json(options.config))
    model.config_json = text_of(options.config);
  describe_checkpoint(model);
  return model;
}

std::int64_t width_of(const ModelToConvert& model, std::string_view ending, int axis) {
  return width_of(model.selection.weights, ending, axis);
}

}  // namespace caravan::jobs
