#include "jobs/convert/hf_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "io/convert/shards.hpp"
#include "io/hf/config_writer.hpp"

namespace caravan::jobs {
namespace {

constexpr const char *kConfig = "config.json", *kGeneration = "generation_config.json";

/// Of a model whose rotation is stretched, so far; else what the job says.
std::int64_t positions_of(const Config& model) {
  const Config& scaling = model.find("rope_scaling");
  if (scaling.is_null()) return model.get_int("positions");
  return static_cast<std::int64_t>(
      std::min(scaling.get_float("factor") * scaling.get_float("original"), 1e15));
}

io::HfConfigFacts facts_of(const ModelToConvert& model) {
  const auto& weights = model.selection.weights;
  return {.dtype = io::dtype_of_made(*model.source.weights, weights.front().name, model.selection.dtype),
          .dense_width = width_of(model, ".feed_forward.w1.weight", 0),
          .expert_width = width_of(model, ".moe.experts.w1", 1),
          .positions = positions_of(model.source.model),
          .bos = {},
          .pad = {},
          .eos = model.source.eos};
}

/// The configuration of the source, where it had one of this format. What is not its folder's any more (a
/// checkpoint that it was kept in, weights that it was given for) may be of another type than it says.
std::string kept_config(const ModelToConvert& model, DType dtype, Conversion& conversion) {
  std::string config = model.config_json;
  if (model.selection.companions.empty() && io::is_multimodal(config, kConfig)) {
    config = io::text_part(config, kConfig);
    conversion.notes.push_back("no weights of the vision part are there: the folder is that of a text model");
  }
  const bool is_as_stored = !model.source.folder.empty() &&
                            model.source.weights->dtype(model.selection.weights.front().name) == dtype &&
                            !model.selection.dtype;
  if (is_as_stored) return config;
  const bool is_given = model.source.folder.empty() && model.source.checkpoint.empty();
  const bool is_asked = model.selection.dtype.has_value() || is_given;
  return io::with_dtype(config, dtype, kConfig, is_asked ? io::DtypeKey::added : io::DtypeKey::corrected);
}

}  // namespace

void plan_hf_folder(const ModelToConvert& model, const ConvertOptions& options, Conversion& conversion) {
  const io::HfConfigFacts facts = facts_of(model);
  if (model.config_json.empty() && model.source.positions == 0)
    conversion.notes.push_back(fmt::format(
        "nothing says for how many positions the model was made: max_position_embeddings={} is written",
        facts.positions));
  const std::string config = model.config_json.empty() ? io::hf_config_text(model.source.model, facts)
                                                       : kept_config(model, facts.dtype, conversion);
  const std::string prefix = io::is_multimodal(config, kConfig) ? "language_model." : "";
  io::HfShards shards =
      io::hf_shards(io::hf_tensors(*model.source.weights, model.selection, prefix), options.shard_bytes);
  conversion.files = std::move(shards.files);
  conversion.texts.emplace_back(kConfig, config);
  if (!model.generation_json.empty())
    conversion.texts.emplace_back(kGeneration, model.generation_json);
  else if (model.config_json.empty())
    conversion.texts.emplace_back(kGeneration, io::hf_generation_text(facts));
  if (!shards.index.empty())
    conversion.texts.emplace_back("model.safetensors.index.json", std::move(shards.index));
  conversion.copied = model.files;
  note_lost_state(model, "Hugging Face's format", conversion);
}

}  // namespace caravan::jobs
