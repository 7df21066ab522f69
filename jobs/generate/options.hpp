#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/run/slot_state.hpp"
#include "jobs/generate/conversation.hpp"
#include "jobs/generate/prompt_file.hpp"
#include "jobs/rank_degrees.hpp"

namespace caravan::jobs {

/// What the command line of `generate` says.
struct GenerateOptions {
  std::string model, prompt, prompt_ids, prompts, chat, chat_template, tokenizer, device = "auto",
                                                                                  precision = "auto";
  std::optional<Conversation> conversation;  ///< of rank 0, where `chat` names one
  std::vector<GivenPrompt> given;            ///< of rank 0, where `prompts` names some
  std::int64_t max_new_tokens = 200, samples = 1;
  std::int64_t batch = 16, cache_positions = 0;
  Sampling sampling{0.8, 0, 0.95, 0, 1, 1};
  std::vector<std::string> stops, logit_bias;
  bool greedy = false, ignore_eos = false, json = false, bos = true, log_probs = false;
  RankDegrees degrees;

  /// Answers come as JSON lines, one a prompt and sample.
  bool has_lines() const { return !prompts.empty() || samples > 1; }
};

}  // namespace caravan::jobs
