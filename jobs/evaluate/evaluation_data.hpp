#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "io/data/token_stream.hpp"
#include "jobs/evaluate/options.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

/// What a model is measured on.
struct EvaluationData {
  std::unique_ptr<io::TokenStream> tokens;
  std::vector<std::int32_t> token_bytes;  ///< [V] that a token stands for; empty: no tokenizer is known
};

/// Whether the data is a folder of token shards; otherwise it is text.
bool is_shards(const TextOptions& data);

/// Text needs a tokenizer: the given one or the model's. ConfigError where there is none, or the tokens do
/// not fit the model's vocabulary; IoError where the model was trained with another tokenizer, and for data
/// that cannot be read or is empty.
EvaluationData open_evaluation_data(const EvaluateOptions& options, const ModelSource& source);

}  // namespace caravan::jobs
