#pragma once

#include "jobs/convert/conversion.hpp"

namespace caravan::jobs {

/// A folder as Meta released it: params.json, a file for each of the ranks that divide the tensors, and the
/// tokenizer. IoError names the keys of the model that it cannot express.
void plan_meta_folder(const ModelToConvert& model, const ConvertOptions& options, Conversion& conversion);

}  // namespace caravan::jobs
