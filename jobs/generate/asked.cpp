#include "jobs/generate/asked.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "caravan/check.hpp"
#include "jobs/command_numbers.hpp"

namespace caravan::jobs {
namespace {

/// Each waits in memory from the start.
constexpr std::int64_t kMostAnswers = 1 << 20;
/// Positions of a model.
constexpr std::int64_t kMostPositions = 1 << 24;

std::vector<std::int32_t> text_tokens(const std::string& text, bool framed, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  const TextFrame frame = framed ? tokenizer.text_frame() : TextFrame{};
  for (const auto& part : {frame.before, tokenizer.encode(text, Special::recognise), frame.after})
    ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

std::vector<std::int32_t> prompt_tokens(const GenerateOptions& options, const Tokenizer* tokenizer,
                                        const ChatFormat* chat) {
  if (chat) return chat->prompt(*options.conversation);
  if (tokenizer && options.prompt_ids.empty()) return text_tokens(options.prompt, options.bos, *tokenizer);
  return read_token_ids("--prompt-ids", options.prompt_ids, "");
}

void check_tokens(const std::vector<std::int32_t>& ids, const std::string& place, std::int64_t vocabulary) {
  CARAVAN_CHECK(!ids.empty(), ConfigError,
                fmt::format("{} is empty. Give --prompt TEXT, --prompt-ids \"1 2 3\", or a text on standard "
                            "input?",
                            place));
  for (std::int32_t id : ids)
    CARAVAN_CHECK(id < vocabulary, ConfigError,
                  fmt::format("{} token {} (the model's vocab_size is {}). Is it this model's tokenizer?",
                              place, id, vocabulary));
}

void check_length(const Sequence& sequence, const std::string& place) {
  CARAVAN_CHECK(sequence.positions() <= kMostPositions, ConfigError,
                fmt::format("{} of {} tokens and {} new ones (at most {} together). Fewer --max-new-tokens, "
                            "or max_new_tokens of a line?",
                            place, sequence.prompt.size(), sequence.most_tokens, kMostPositions));
}

/// A seed that a sample has can be given to another run.
void check_seed(std::uint64_t seed, std::int64_t samples, const std::string& place) {
  const auto most = static_cast<std::uint64_t>(INT64_MAX);
  CARAVAN_CHECK(seed <= most - static_cast<std::uint64_t>(samples - 1), ConfigError,
                fmt::format("{} has the seed {} and {} samples (sample s has seed + s, which is {} at most). "
                            "A smaller seed?",
                            place, seed, samples, most));
}

/// A prompt of the command line, as a file would give it.
GivenPrompt single(const GenerateOptions& options, const Tokenizer* tokenizer, const ChatFormat* chat) {
  GivenPrompt prompt;
  prompt.tokens = prompt_tokens(options, tokenizer, chat);
  prompt.place = "the prompt";
  return prompt;
}

Asked asked(const GenerateOptions& options, const GivenPrompt& given, std::vector<std::int32_t> tokens) {
  Asked asked;
  asked.sequence = {std::move(tokens), options.sampling, given.most_tokens.value_or(options.max_new_tokens)};
  asked.sequence.sampling.seed = given.seed.value_or(options.sampling.seed);
  asked.stops = given.stops.value_or(options.stops);
  asked.id = given.id;
  asked.place = given.place;
  check_length(asked.sequence, asked.place);
  check_seed(asked.sequence.sampling.seed, options.samples, asked.place);
  return asked;
}

void append(std::vector<Asked>& all, const Asked& each, std::size_t prompt, std::int64_t samples) {
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    all.push_back(each);
    all.back().prompt = prompt;
    all.back().sample = sample;
    all.back().sequence.sampling.seed += static_cast<std::uint64_t>(sample);
  }
}

float bias_from(const std::string& value) {
  if (value == "-inf") return -std::numeric_limits<float>::infinity();
  return static_cast<float>(read_number("--logit-bias", value, "[-1000, 1000]"));
}

}  // namespace

std::vector<Asked> asked_of(const GenerateOptions& options, const Tokenizer* tokenizer,
                            const ChatFormat* chat, std::int64_t vocabulary,
                            const LeaveWhenAsked& leave_when_asked) {
  std::vector<GivenPrompt> prompts = options.given;
  if (options.prompts.empty()) prompts.push_back(single(options, tokenizer, chat));
  const std::int64_t most = kMostAnswers / std::max<std::int64_t>(1, std::ssize(prompts));
  CARAVAN_CHECK(options.samples <= most, ConfigError,
                fmt::format("{} samples of {} prompts (at most {} answers at a time). Several runs?",
                            options.samples, prompts.size(), kMostAnswers));
  std::vector<Asked> all;
  for (std::size_t at = 0; at < prompts.size(); ++at) {
    leave_when_asked();
    const GivenPrompt& given = prompts[at];
    CARAVAN_CHECK(
        tokenizer || (given.text.empty() && given.stops.value_or(options.stops).empty()), ConfigError,
        fmt::format("{}: {} names no tokenizer (needed for text and stop strings). Give --tokenizer "
                    "FILE, or prompt_ids?",
                    given.place, options.model));
    std::vector<std::int32_t> tokens =
        given.text.empty() ? given.tokens : text_tokens(given.text, options.bos, *tokenizer);
    check_tokens(tokens, given.place, vocabulary);
    append(all, asked(options, given, std::move(tokens)), at, options.samples);
  }
  return all;
}

void share(Communicator& world, std::vector<Asked>& all) {
  if (world.size() == 1) return;
  nlohmann::json list = nlohmann::json::array();
  for (const Asked& each : all) list.push_back({each.sequence.prompt, each.sequence.most_tokens, each.stops});
  std::vector<std::uint8_t> bytes = nlohmann::json::to_cbor(list);
  std::int64_t count = std::ssize(bytes);
  world.broadcast(TensorView(&count, DType::i64, {1}), 0);
  bytes.resize(static_cast<std::size_t>(count));
  world.broadcast(TensorView(bytes.data(), DType::u8, {count}), 0);
  if (world.rank() == 0) return;
  for (const auto& each : nlohmann::json::from_cbor(bytes)) {
    Asked asked;
    asked.sequence.prompt = each.at(0).get<std::vector<std::int32_t>>();
    asked.sequence.most_tokens = each.at(1).get<std::int64_t>();
    asked.stops = each.at(2).get<std::vector<std::string>>();
    all.push_back(std::move(asked));
  }
}

std::vector<float> logit_bias_of(const GenerateOptions& options, std::int64_t vocabulary,
                                 std::int64_t drawable) {
  if (options.logit_bias.empty()) return {};
  std::vector<float> bias(static_cast<std::size_t>(vocabulary));
  std::set<std::int64_t> ids;
  for (const std::string& given : options.logit_bias) {
    const std::size_t equals = given.find('=');
    CARAVAN_CHECK(equals != std::string::npos, ConfigError,
                  fmt::format("--logit-bias={} (as ID=VALUE). 42=-5, or 42=-inf?", given));
    const std::int64_t id =
        read_integer("--logit-bias", given.substr(0, equals), fmt::format("[0, {}]", vocabulary - 1));
    CARAVAN_CHECK(
        ids.insert(id).second, ConfigError,
        fmt::format("--logit-bias={} is the second one of token {} (which counts?). Once?", given, id));
    bias[static_cast<std::size_t>(id)] = bias_from(given.substr(equals + 1));
  }
  const bool may_draw =
      std::any_of(bias.begin(), bias.begin() + drawable, [](float value) { return std::isfinite(value); });
  CARAVAN_CHECK(
      may_draw, ConfigError,
      fmt::format("--logit-bias forbids all {} tokens (none is left to be drawn). Fewer of -inf?", drawable));
  return bias;
}

}  // namespace caravan::jobs
