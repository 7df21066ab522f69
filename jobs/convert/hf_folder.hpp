#pragma once

#include "jobs/convert/conversion.hpp"

namespace caravan::jobs {

/// A Hugging Face folder as transformers writes it. Where the source came from one, its config.json is the
/// same but for the type of the weights; otherwise it is written from the model's keys, and IoError names
/// those that it cannot express.
void plan_hf_folder(const ModelToConvert& model, const ConvertOptions& options, Conversion& conversion);

}  // namespace caravan::jobs
