#include "jobs/state/model_source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/low_rank.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/hf/checkpoint_source.hpp"
#include "io/hf/config_json.hpp"
#include "io/hf/model_path.hpp"
#include "io/meta/meta_source.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/identity/model_tokenizer.hpp"
#include "jobs/job/job.hpp"
#include "jobs/state/merged_source.hpp"
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
  auto checkpoint = std::make_unique<io::CheckpointSource>(folder);
  const Job job = resolve_job(Config::parse(checkpoint->reader().job_yaml(), folder + " (job)"));
  io::HfConfig came = came_with(checkpoint->reader());
  const std::int64_t positions = came.positions > 0 ? came.positions : job.train.sequence_length;
  Config model = job.model;
  auto weights = merge_adapters(std::move(checkpoint), model);
  return {job.model_plugin, std::move(model), std::move(weights), folder, "", std::move(came.eos), positions};
}

/// Null for a model that is no checkpoint of ours.
const io::CheckpointReader* reader_of(const ModelSource& source) {
  return jobs::reader_of(*source.weights);
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
    const std::string& name = fragment.parameter->spec().name;
    if (is_adapter(name) && !weights.has(name)) continue;
    enter(whereabouts, "reading weights");
    const auto type_of = [&](const std::string& part) { return weights.dtype(part); };
    loader.load(fragment, type_of,
                [&](const std::string& part, const Box& box, const TensorView& to, int threads) {
                  weights.read_block(part, box.origin, to, threads);
                });
  }
}

}  // namespace

namespace {

bool has_adapters(const ParameterStore& parameters) {
  const auto& all = parameters.parameters();
  return std::any_of(all.begin(), all.end(), [](const auto& each) { return is_adapter(each->spec().name); });
}

/// A run without adapters that starts from one with them has them merged.
std::unique_ptr<io::WeightSource> open_start(const std::string& path, const ParameterStore& whole_model) {
  auto weights = io::open_weight_source(path);
  const io::CheckpointReader* reader = jobs::reader_of(*weights);
  if (!reader || has_adapters(whole_model)) return weights;
  Config model = resolve_job(Config::parse(reader->job_yaml(), path + " (job)")).model;
  return merge_adapters(std::move(weights), model);
}

/// The same A and B with another scale are another model.
void warn_of_scale(const io::WeightSource& weights, const LowRankRule& ours) {
  const io::CheckpointReader* reader = jobs::reader_of(weights);
  if (!reader || !jobs::has_adapters(weights)) return;
  const Config model = resolve_job(Config::parse(reader->job_yaml(), weights.description())).model;
  const std::optional<LowRankRule> theirs = read_low_rank(model.find("lora"));
  if (theirs && theirs->scale != ours.scale)
    log_warning(fmt::format(
        "{}: its adapters count {} times, and those of model.lora {} times (the run starts "
        "from another model than that one). alpha={}?",
        weights.description(), theirs->scale, ours.scale, theirs->scale * static_cast<double>(ours.rank)));
}

/// Adapters may start anew.
std::vector<io::NamedShape> shapes_to_start_from(const io::WeightSource& weights,
                                                 const ParameterStore& whole_model) {
  std::vector<io::NamedShape> shapes = shapes_of(whole_model);
  if (!jobs::has_adapters(weights))
    std::erase_if(shapes, [](const io::NamedShape& shape) { return is_adapter(shape.name); });
  return shapes;
}

/// What is no weight and goes with a model, such as biases of experts.
void read_state(const io::CheckpointReader& reader, ParameterStore& parameters) {
  for (const auto& buffer : parameters.buffers()) {
    if (buffer->role != Buffer::Role::state) continue;
    parameters.set(TensorView(buffer->data.data, DType::f32, buffer->shape), [&](const TensorView& values) {
      reader.read_block("/state/" + buffer->name, {}, values, 1);
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

bool check_weights_from(const std::string& path, const ParameterStore& whole_model) {
  const auto weights = open_start(path, whole_model);
  io::check_weights(*weights, shapes_to_start_from(*weights, whole_model));
  return has_adapters(whole_model) && !jobs::has_adapters(*weights);
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
  const io::CheckpointReader* reader = reader_of(source);
  const bool is_merged = dynamic_cast<const MergedSource*>(source.weights.get()) != nullptr;
  if (reader && !is_merged) return load_weights(*reader, device, parameters, stored);
  const auto surplus = io::check_weights(*source.weights, shapes_of(stored), io::Surplus::left_out);
  if (!surplus.empty())
    log_warning(
        fmt::format("{} holds what the model of its config.json does not have: {}; left out, as in "
                    "transformers",
                    source.weights->description(), io::first_few(surplus)));
  if (reader) read_state(*reader, parameters);
  return read_all(*source.weights, device, parameters, nullptr);
}

void load_weights_from(const std::string& path, Device& device, ParameterStore& parameters,
                       const ParameterStore& whole_model, const std::optional<LowRankRule>& lora,
                       Whereabouts* whereabouts) {
  const auto weights = open_start(path, whole_model);
  warn(weights->warnings());
  if (lora) warn_of_scale(*weights, *lora);
  const std::vector<io::NamedShape> wanted = shapes_to_start_from(*weights, whole_model);
  io::check_weights(*weights, wanted);
  if (wanted.size() < shapes_of(whole_model).size())
    log_info(weights->description() + " has no adapters: those of model.lora start anew");
  read_all(*weights, device, parameters, whereabouts);
}

}  // namespace caravan::jobs
