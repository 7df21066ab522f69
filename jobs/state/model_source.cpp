#include "jobs/state/model_source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/hf/checkpoint_source.hpp"
#include "io/hf/config_json.hpp"
#include "io/hf/model_path.hpp"
#include "io/meta/meta_source.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/identity/model_tokenizer.hpp"
#include "jobs/job/job.hpp"
#include "jobs/state/stored_texts.hpp"
#include "jobs/state/train_state.hpp"
#include "jobs/state/weight_loader.hpp"

namespace caravan::jobs {
namespace {

void warn(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) log_warning(sentence);
}

ModelSource from_hugging_face(const std::string& folder) {
  io::HfConfig config = io::read_hf_config(folder);
  auto weights = io::open_weight_source(folder);
  for (const std::string& note : config.notes) log_info(folder + ": " + note);
  warn(config.warnings);
  warn(weights->warnings());
  if (config.model.get_bool("tied_head") && weights->has("output.weight"))
    config.model.set("tied_head", Config::scalar("false"));
  return {"llama4", std::move(config.model), std::move(weights), "",
          folder,   std::move(config.eos),   config.positions};
}

ModelSource from_meta(const std::string& folder) {
  auto weights = std::make_unique<io::MetaSource>(folder);
  warn(weights->warnings());
  Config model = weights->model();
  return {"llama4", std::move(model), std::move(weights), "", folder, {}, 0};
}

/// What a model that was converted says beside its weights: which ids end a text, for how many positions it
/// is.
io::HfConfig came_with(const io::CheckpointReader& reader) {
  const std::string config = stored_text(reader, kStoredConfig),
                    generation = stored_text(reader, kStoredGeneration);
  if (config.empty()) return {};
  io::HfConfig said = io::parse_hf_config(config, reader.folder() + kStoredConfig);
  if (!generation.empty()) io::take_generation_ids(generation, reader.folder() + kStoredGeneration, said);
  return said;
}

ModelSource from_checkpoint(const std::string& folder) {
  auto weights = std::make_unique<io::CheckpointSource>(folder);
  const Job job = resolve_job(Config::parse(weights->reader().job_yaml(), folder + " (job)"));
  io::HfConfig came = came_with(weights->reader());
  const std::int64_t positions = came.positions > 0 ? came.positions : job.train.sequence_length;
  return {job.model_plugin, job.model, std::move(weights), folder, "", std::move(came.eos), positions};
}

/// Null for a model that is no checkpoint of ours.
const io::CheckpointReader* reader_of(const ModelSource& source) {
  const auto* ours = dynamic_cast<const io::CheckpointSource*>(source.weights.get());
  return ours ? &ours->reader() : nullptr;
}

/// What the model says of its tokenizer.
ModelTokenizer own_tokenizer(const ModelSource& source) {
  const io::CheckpointReader* reader = reader_of(source);
  if (!reader) return {io::find_tokenizer_file(source.folder), ""};
  return tokenizer_of(*reader, resolve_job(Config::parse(reader->job_yaml(), source.checkpoint + " (job)")));
}

void read_all(const io::WeightSource& weights, Device& device, ParameterStore& parameters,
              Whereabouts* whereabouts) {
  WeightLoader loader(device, parameters);
  for (const Fragment& fragment : parameters.fragments()) {
    enter(whereabouts, "reading weights");
    const auto type_of = [&](const std::string& part) { return weights.dtype(part); };
    loader.load(fragment, type_of,
                [&](const std::string& part, const Box& box, const TensorView& to, int threads) {
                  weights.read_block(part, box.origin, to, threads);
                });
  }
}

}  // namespace

std::vector<io::NamedShape> shapes_of(const ParameterStore& parameters) {
  std::vector<io::NamedShape> shapes;
  for (const auto& parameter : parameters.parameters()) {
    for (std::size_t part = 0; part < parameter->spec().parts.size(); ++part) {
      shapes.push_back({parameter->spec().parts[part].name, parameter->part_shape(part)});
    }
  }
  return shapes;
}

std::int64_t width_of(const std::vector<io::NamedShape>& weights, std::string_view ending, int axis) {
  const auto found = std::find_if(weights.begin(), weights.end(),
                                  [&](const io::NamedShape& each) { return each.name.ends_with(ending); });
  return found == weights.end() ? 0 : found->shape[axis];
}

void check_weights_from(const std::string& path, const ParameterStore& whole_model) {
  io::check_weights(*io::open_weight_source(path), shapes_of(whole_model));
}

ModelSource open_model(const std::string& path) {
  return io::open_model_path(path, [&](const io::ModelPath& resolved) {
    for (const auto& skipped : resolved.skipped)
      log_warning(fmt::format("skipped {}: {}", skipped.path, skipped.why));
    CARAVAN_CHECK(
        resolved.kind != io::ModelPath::Kind::safetensors, IoError,
        fmt::format("{} holds weights alone (nothing says which model they are). Give the folder with its "
                    "config.json?",
                    path));
    if (resolved.kind == io::ModelPath::Kind::meta_folder) return from_meta(resolved.path);
    return resolved.kind == io::ModelPath::Kind::checkpoint ? from_checkpoint(resolved.path)
                                                            : from_hugging_face(resolved.path);
  });
}

std::string find_tokenizer(const ModelSource& source, const std::string& given) {
  if (given.empty()) return own_tokenizer(source).path;
  if (!source.checkpoint.empty()) check_tokenizer(given, tokenizer_digest_of(source.checkpoint));
  return given;
}

std::unique_ptr<Tokenizer> open_tokenizer(const ModelSource& source, const std::string& given) {
  const std::string path = find_tokenizer(source, given);
  return path.empty() ? nullptr : io::load_tokenizer(path);
}

/// A checkpoint is read through the files that were opened with it: its run may prune it meanwhile.
void load_weights(const ModelSource& source, Device& device, ParameterStore& parameters,
                  const ParameterStore& stored) {
  if (const io::CheckpointReader* reader = reader_of(source))
    return load_weights(*reader, device, parameters, stored);
  const auto surplus = io::check_weights(*source.weights, shapes_of(stored), io::Surplus::left_out);
  if (!surplus.empty())
    log_warning(
        fmt::format("{} holds what the model of its config.json does not have: {}; left out, as in "
                    "transformers",
                    source.weights->description(), io::first_few(surplus)));
  return read_all(*source.weights, device, parameters, nullptr);
}

void load_weights_from(const std::string& path, Device& device, ParameterStore& parameters,
                       const ParameterStore& whole_model, Whereabouts* whereabouts) {
  const auto weights = io::open_weight_source(path);
  warn(weights->warnings());
  io::check_weights(*weights, shapes_of(whole_model));
  read_all(*weights, device, parameters, whereabouts);
}

}  // namespace caravan::jobs
