#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "caravan/data.hpp"
#include "caravan/tokenizer.hpp"
#include "core/run/decoder.hpp"
#include "jobs/generate/batcher.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// ConfigError where the job asks for texts of the model in training that its layout cannot write, or that
/// nothing would ever ask for.
void check_samples(const Job& job, const MeshLayout& layout);

/// What the model of this rank decodes all prompts of the job with at once, on the memory of its training. A
/// prompt has no more tokens than bytes beside the tokenizer's frame, so that the plan needs no tokenizer.
DecodePlan plan_samples(const Job& job, const Device& device, ModelInstance& model);
/// Device memory that it takes.
std::size_t sample_bytes(const Job& job, Device& device, ModelInstance& model);

/// The prompts as the data's tokenizer has them.
struct SamplePrompts {
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<Sequence> sequences;
};
/// ConfigError where the data have no tokenizer, and for a prompt that with its new tokens is longer than a
/// sequence, or has a token that the model does not know.
SamplePrompts sample_prompts(const Job& job, const DataIdentity& data, std::int64_t vocabulary);

}  // namespace caravan::jobs
