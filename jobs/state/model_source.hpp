#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/device.hpp"
#include "caravan/low_rank.hpp"
#include "caravan/parameter.hpp"
#include "caravan/tokenizer.hpp"
#include "core/run/whereabouts.hpp"
#include "io/hf/weight_source.hpp"

namespace caravan::jobs {

/// A trained model somewhere on disk: what it is, and where its weights come from.
struct ModelSource {
  std::string plugin;
  Config model;  ///< keys of the model plugin
  std::unique_ptr<io::WeightSource> weights;
  std::string checkpoint;  ///< the step's folder when it is one of ours: expert biases are read from it too
  std::string folder;      ///< of Hugging Face's files; empty for a checkpoint
  std::vector<std::int64_t> eos;  ///< ids that end a text
  std::int64_t positions = 0;     ///< the most of a sequence that it was made for; 0: nothing says
};

/// `path`: a Hugging Face folder (config.json with safetensors), a checkpoint, or a run's folder, whose
/// newest complete checkpoint is taken. IoError when it is none of these.
ModelSource open_model(const std::string& path);

/// The names and shapes that files have for the weights of a store, in its order.
std::vector<io::NamedShape> shapes_of(const ParameterStore& parameters);
/// Of the first weight whose name ends so, axis `axis`; 0 where there is none.
std::int64_t width_of(const std::vector<io::NamedShape>& weights, std::string_view ending, int axis);

/// Where the tokenizer is: `given`, or, when that is empty, the model's own; empty when it has none. A file
/// or a folder. IoError, naming both digests, when the model was trained with another one.
std::string find_tokenizer(const ModelSource& source, const std::string& given);
/// The tokenizer at `given`, or, when that is empty, the model's own; null when it has none. IoError, naming
/// both digests, when the model was trained with another one.
std::unique_ptr<Tokenizer> open_tokenizer(const ModelSource& source, const std::string& given);

/// Fills a store that is allocated on `device`; IoError lists what is missing or has another shape. `stored`:
/// the parameters of source.model, of which some that only training uses, or those of other stages, may be
/// left out.
void load_weights(const ModelSource& source, Device& device, ParameterStore& parameters,
                  const ParameterStore& stored);
/// The same for a run's start from `path`, which may also be a safetensors file with caravan's or Hugging
/// Face's names. `parameters` may hold some stages of `whole_model`, which the file must fit. `whereabouts`
/// may be null. `lora`: the model's own, or none; adapters of another scale than its are said.
void load_weights_from(const std::string& path, Device& device, ParameterStore& parameters,
                       const ParameterStore& whole_model, const std::optional<LowRankRule>& lora,
                       Whereabouts* whereabouts);
/// IoError unless a run of this model could start from `path`; reads no weights. Whether adapters of the
/// model start anew, because there are none.
bool check_weights_from(const std::string& path, const ParameterStore& whole_model);

}  // namespace caravan::jobs
