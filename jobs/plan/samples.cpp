#include "jobs/plan/samples.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "core/run/page_pool.hpp"
#include "io/text/load_tokenizer.hpp"
#include "jobs/generate/asked.hpp"
#include "jobs/generate/plan_decoding.hpp"
#include "jobs/job/place.hpp"

namespace caravan::jobs {
namespace {

/// Tokens that tokenizers put around a text, and the space that some put before it.
constexpr std::int64_t kMostFrame = 16;

void check_axis(const MeshLayout& layout, MeshAxis axis, const char* key, const char* why) {
  const int degree = layout.degree(axis);
  CARAVAN_CHECK(
      degree == 1, ConfigError,
      fmt::format("validation.samples with parallel.{}={} ({}). parallel.{}=1, or `caravan generate` "
                  "with a checkpoint?",
                  key, degree, why, key));
}

/// The most positions that a prompt and what follows may take.
std::int64_t most_positions(const Job& job, const std::string& prompt) {
  return std::min(std::ssize(prompt) + kMostFrame + job.validation.samples.max_new_tokens,
                  job.train.sequence_length);
}

/// What `caravan generate` would be asked.
GenerateOptions options_of(const Job& job) {
  const SampleRule& rule = job.validation.samples;
  GenerateOptions options;
  options.prompts = "validation.samples.prompts";
  options.max_new_tokens = rule.max_new_tokens;
  options.batch = std::ssize(rule.prompts);
  options.sampling = {.temperature = static_cast<float>(rule.temperature), .seed = job.seed};
  for (std::size_t at = 0; at < rule.prompts.size(); ++at) {
    GivenPrompt& prompt = options.given.emplace_back();
    prompt.text = rule.prompts[at];
    prompt.seed = job.seed + at;
    prompt.place = fmt::format("validation.samples.prompts.{}", at);
  }
  return options;
}

}  // namespace

void check_samples(const Job& job, const MeshLayout& layout) {
  const SampleRule& rule = job.validation.samples;
  if (!rule.is_wanted()) return;
  at_place(place_of(job.resolved, {"validation", "samples"}), [&] {
    CARAVAN_CHECK(rule.every || job.validation.is_wanted(), ConfigError,
                  "validation.samples without a validation (nothing says when they are written). "
                  "validation.every, or validation.samples.every?");
    CARAVAN_CHECK(rule.max_new_tokens < job.train.sequence_length, ConfigError,
                  fmt::format("validation.samples.max_new_tokens={} with train.sequence_length={} (with the "
                              "prompt it is longer than what the model learns). Fewer?",
                              rule.max_new_tokens, job.train.sequence_length));
    check_axis(layout, MeshAxis::pp, "pipeline", "a token would go through all stages one after the other");
    check_axis(layout, MeshAxis::cp, "context", "a token that is decoded is on one rank");
  });
}

DecodePlan plan_samples(const Job& job, const Device& device, ModelInstance& model) {
  constexpr std::int64_t kPage = 16;
  const std::vector<std::string>& prompts = job.validation.samples.prompts;
  CacheShape cache{.slots = std::ssize(prompts), .page = kPage};
  for (const std::string& prompt : prompts) {
    const std::int64_t positions = most_positions(job, prompt);
    const PageNeed need = pages_for(positions, kPage, model.stage().chunk_size());
    cache.positions = std::max(cache.positions, positions);
    cache.pages += need.pages;
    cache.chunk_pages += need.chunk_pages;
  }
  DecodePlan plan = plan_decoding(device, model, cache);
  plan.drawable = model.stage().vocab_size();
  plan.stops = {-1};  // the tokenizer's; none has this number
  return plan;
}

std::size_t sample_bytes(const Job& job, Device& device, ModelInstance& model) {
  if (!job.validation.samples.is_wanted()) return 0;
  return Decoder::bytes(device, model.stage(), plan_samples(job, device, model));
}

SamplePrompts sample_prompts(const Job& job, const DataIdentity& data, std::int64_t vocabulary) {
  return at_place(place_of(job.resolved, {"validation", "samples"}), [&] {
    CARAVAN_CHECK(!data.tokenizer.empty(), ConfigError,
                  fmt::format("validation.samples with data.source={} that names no tokenizer (prompts are "
                              "texts). Data with one, or `caravan generate --prompt-ids` with a checkpoint?",
                              job.data_source));
    SamplePrompts made;
    made.tokenizer = io::load_tokenizer(data.tokenizer);
    const std::vector<Asked> asked = asked_of(options_of(job), made.tokenizer.get(), nullptr, vocabulary);
    for (std::size_t at = 0; at < asked.size(); ++at) {
      const Sequence& sequence = asked[at].sequence;
      CARAVAN_CHECK(
          sequence.positions() <= most_positions(job, job.validation.samples.prompts[at]), ConfigError,
          fmt::format("{} has {} tokens, and {} new ones follow (a sequence has {}). A shorter prompt, or a "
                      "smaller validation.samples.max_new_tokens?",
                      asked[at].place, sequence.prompt.size(), sequence.most_tokens,
                      job.train.sequence_length));
      made.sequences.push_back(sequence);
    }
    return made;
  });
}

}  // namespace caravan::jobs
