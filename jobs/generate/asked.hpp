#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/tokenizer.hpp"
#include "jobs/generate/batcher.hpp"
#include "jobs/generate/chat_format.hpp"
#include "jobs/generate/options.hpp"

namespace caravan::jobs {

/// One answer that is wanted: a prompt, and which of its samples.
struct Asked {
  Sequence sequence;
  std::vector<std::string> stops;
  nlohmann::json id;       ///< of the prompt, or null
  std::size_t prompt = 0;  ///< counted from 0
  std::int64_t sample = 0;
  std::string place;  ///< of the prompt, for messages; on rank 0
};

/// [rank 0] What the options ask for, in order; sample s of a prompt has its seed + s. `tokenizer` and `chat`
/// may be null. ConfigError naming the prompt when it has no token, one that the model does not know, or with
/// its answer more positions than any model has. Prompts may be many: `leave_when_asked` throws in between.
std::vector<Asked> asked_of(
    const GenerateOptions& options, const Tokenizer* tokenizer, const ChatFormat* chat,
    std::int64_t vocabulary, const LeaveWhenAsked& leave_when_asked = [] {});

/// [collective] What rank 0 asks, on all: standard input comes to it alone.
void share(Communicator& world, std::vector<Asked>& all);

/// [V] what the options add to logits, or none. ConfigError when one is not ID=VALUE with a token's id, an id
/// stands twice, or none of the first `drawable` tokens may be drawn any more.
std::vector<float> logit_bias_of(const GenerateOptions& options, std::int64_t vocabulary,
                                 std::int64_t drawable);

}  // namespace caravan::jobs
