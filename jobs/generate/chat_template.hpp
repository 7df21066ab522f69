#pragma once

#include <string>

#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

/// Whether a conversation may be told as Llama 4 is told one. ConfigError naming the file when the model or
/// the tokenizer at `tokenizer` stores another chat template, unless `asked`; what is assumed is said.
void check_chat_template(const ModelSource& source, const std::string& tokenizer, bool asked);

}  // namespace caravan::jobs
