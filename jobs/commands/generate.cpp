#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/tokenizer.hpp"
#include "io/text/load_tokenizer.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/generate/chat_format.hpp"
#include "jobs/generate/chat_template.hpp"
#include "jobs/generate/conversation.hpp"
#include "jobs/generate/decoder.hpp"
#include "jobs/generate/printer.hpp"
#include "jobs/generate/prompt.hpp"
#include "jobs/generate/sampler.hpp"
#include "jobs/model_options.hpp"
#include "jobs/rank_degrees.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/state/model_source.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  std::string model, prompt, prompt_ids, chat, chat_template, tokenizer, device = "auto", precision = "auto";
  std::optional<Conversation> conversation;  // of rank 0, where `chat` names one
  std::int64_t max_new_tokens = 200;
  Sampling sampling{0.8, 0, 0.95, 1};
  bool greedy = false, ignore_eos = false, json = false, bos = true;
  RankDegrees degrees;
};

/// What is generated, and how fast.
struct Outcome {
  std::vector<std::int32_t> tokens;
  std::string text, stop = "length";
  double prefill_s = 0, decode_s = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// With --chat, one that goes with Llama 4's template.
std::unique_ptr<Tokenizer> tokenizer_for(const Options& options, const ModelSource& source) {
  const std::string path = find_tokenizer(source, options.tokenizer);
  const bool is_chat = !options.chat.empty();
  CARAVAN_CHECK(!path.empty() || (options.prompt.empty() && !is_chat), ConfigError,
                fmt::format("{} names no tokenizer (needed for {}). Give --tokenizer FILE{}?", options.model,
                            is_chat ? "--chat" : "--prompt", is_chat ? "" : ", or --prompt-ids"));
  if (is_chat) check_chat_template(source, path, !options.chat_template.empty());
  return path.empty() ? nullptr : io::load_tokenizer(path);
}

std::vector<std::int32_t> text_tokens(const Options& options, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  const TextFrame frame = options.bos ? tokenizer.text_frame() : TextFrame{};
  for (const auto& part : {frame.before, tokenizer.encode(options.prompt, Special::recognise), frame.after})
    ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

std::vector<std::int32_t> prompt_tokens(const Options& options, const Tokenizer* tokenizer,
                                        const ChatFormat* chat, std::int64_t vocab) {
  std::vector<std::int32_t> ids = read_token_ids("--prompt-ids", options.prompt_ids, "");
  if (chat)
    ids = chat->prompt(*options.conversation);
  else if (tokenizer && options.prompt_ids.empty())
    ids = text_tokens(options, *tokenizer);
  CARAVAN_CHECK(
      !ids.empty(), ConfigError,
      "the prompt is empty. Give --prompt TEXT, --prompt-ids \"1 2 3\", or a text on standard input?");
  for (std::int32_t id : ids) {
    CARAVAN_CHECK(id < vocab, ConfigError,
                  fmt::format("prompt token {} (the model's vocab_size is {}). Is it this model's tokenizer?",
                              id, vocab));
  }
  return ids;
}

/// How many of the model's tokens may be drawn: a vocabulary that was rounded up has some that stand for no
/// text.
std::size_t drawable(std::int64_t vocab, const Tokenizer* tokenizer) {
  const std::int64_t known = tokenizer ? tokenizer->vocab_size() : vocab;
  if (known < vocab)
    log_warning(
        fmt::format("the model has {} tokens and the tokenizer {}: the others are not drawn", vocab, known));
  return static_cast<std::size_t>(std::min(vocab, known));
}

/// What is drawn by rank 0 goes for all, whatever rounding makes of their logits.
Outcome decode(Decoder& decoder, const std::vector<std::int32_t>& prompt, const Options& options,
               const std::vector<std::int64_t>& eos, std::size_t tokens, Printer& printer,
               Communicator& world) {
  Outcome outcome;
  Sampler sampler(options.sampling);
  auto start = std::chrono::steady_clock::now();
  auto logits = decoder.feed(prompt);
  outcome.prefill_s = seconds_since(start);
  start = std::chrono::steady_clock::now();
  while (static_cast<std::int64_t>(outcome.tokens.size()) < options.max_new_tokens) {
    std::int32_t next = sampler.next(logits.first(tokens));
    world.broadcast(TensorView(&next, DType::i32, {1}), 0);
    if (!options.ignore_eos && std::find(eos.begin(), eos.end(), next) != eos.end()) {
      outcome.stop = "eos";
      break;
    }
    outcome.tokens.push_back(next);
    printer.push(next);
    if (static_cast<std::int64_t>(outcome.tokens.size()) < options.max_new_tokens)
      logits = decoder.feed({&next, 1});
  }
  outcome.decode_s = seconds_since(start);
  outcome.text = printer.finish();
  return outcome;
}

std::string as_json(const Options& options, const std::vector<std::int32_t>& prompt, const Outcome& outcome) {
  if (options.conversation) return options.conversation->with_answer(outcome.text);
  const auto made = static_cast<double>(outcome.tokens.size());
  const nlohmann::json result{{"prompt_ids", prompt},
                              {"ids", outcome.tokens},
                              {"text", outcome.text},
                              {"stop", outcome.stop},
                              {"prefill_s", outcome.prefill_s},
                              {"decode_tokens_per_s", outcome.decode_s > 0 ? made / outcome.decode_s : 0.0}};
  return result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// A conversation has no place for how it went, so that the log says it.
void report(const Options& options, const std::vector<std::int32_t>& prompt, const Outcome& outcome) {
  write_standard_output((options.json ? as_json(options, prompt, outcome) : "") + "\n");
  if (options.json && !options.conversation) return;
  const auto made = static_cast<double>(outcome.tokens.size());
  log_info(fmt::format("{} prompt tokens in {:.2f} s, {} tokens at {:.1f} tokens/s, stopped by {}",
                       prompt.size(), outcome.prefill_s, outcome.tokens.size(),
                       made / std::max(outcome.decode_s, 1e-9), outcome.stop));
}

/// The ids that end what is generated.
std::vector<std::int64_t> stops_of(const ModelSource& source, const Tokenizer* tokenizer,
                                   const ChatFormat* chat) {
  std::vector<std::int64_t> stops = source.eos;
  if (tokenizer && tokenizer->eos()) stops.push_back(*tokenizer->eos());
  if (chat) stops.insert(stops.end(), chat->stops().begin(), chat->stops().end());
  return stops;
}

/// [collective] What rank 0 has read: standard input comes to it alone.
void share_prompt(Communicator& world, std::vector<std::int32_t>& prompt) {
  std::int64_t count = std::ssize(prompt);
  world.broadcast(TensorView(&count, DType::i64, {1}), 0);
  prompt.resize(static_cast<std::size_t>(count));
  world.broadcast(TensorView(prompt.data(), DType::i32, {count}), 0);
}

/// Every rank feeds the same tokens; rank 0 shows them.
int generate(const Options& options, Communicator& world) {
  CARAVAN_CHECK(world.size() == 1 || options.degrees.tensor * options.degrees.expert > 1, ConfigError,
                fmt::format("generate on {} ranks (each would do all of it). --tensor {}, or one rank?",
                            world.size(), world.size()));
  ModelSource source = open_model(options.model);
  const auto tokenizer = tokenizer_for(options, source);
  const auto chat = options.chat.empty() ? nullptr : std::make_unique<ChatFormat>(*tokenizer);
  const auto registry = make_registry();
  const auto device = choose_device(*registry, options.device);
  const std::unique_ptr<Mesh> mesh = make_mesh(world, options.degrees, *device);
  if (!source.model.find("capacity_factor").is_null())
    log_info("experts take every token here: model.capacity_factor is for whole sequences");
  source.model.erase("capacity_factor");
  const std::int64_t vocab = source.model.get_int("vocab_size");
  std::vector<std::int32_t> prompt;
  if (world.rank() == 0) prompt = prompt_tokens(options, tokenizer.get(), chat.get(), vocab);
  share_prompt(world, prompt);
  const std::int64_t positions = static_cast<std::int64_t>(prompt.size()) + options.max_new_tokens;
  ModelInstance model(*registry, {device.get(), choose_precision(*device, options.precision), mesh.get()},
                      source.plugin, source.model, positions);
  model.allocate(ParameterStore::Content::weights, 0);
  load_weights(source, *device, model.parameters(), model.parameters());
  Decoder decoder(*device, model, positions);
  Printer printer(options.json || world.rank() > 0, tokenizer.get());
  if (world.rank() == 0 && !options.json && tokenizer) write_standard_output(options.prompt);
  const Outcome outcome = decode(decoder, prompt, options, stops_of(source, tokenizer.get(), chat.get()),
                                 drawable(vocab, tokenizer.get()), printer, world);
  if (world.rank() == 0) report(options, prompt, outcome);
  return 0;
}

void declare_sampling(CLI::App& app, Options& options) {
  CLI::Option* greedy =
      app.add_flag("--greedy", options.greedy, "Always the most likely token: nothing is drawn");
  const std::vector<CLI::Option*> of_draws{
      add_number(app, "--temperature", options.sampling.temperature, "[0, 100]",
                 "Flatter above 1, sharper below"),
      add_integer(app, "--top-k", options.sampling.top_k, ">= 0", "Only the k most likely tokens; 0: all"),
      add_number(app, "--top-p", options.sampling.top_p, "[0, 1]",
                 "Only the likeliest tokens that together reach p"),
      add_integer(app, "--seed", options.sampling.seed, ">= 0", "Of the draws")};
  for (CLI::Option* option : of_draws) option->excludes(greedy);
}

void declare_decoding(CLI::App& app, Options& options) {
  app.add_flag("--ignore-eos", options.ignore_eos, "Go on after a token that ends a text or an answer");
  declare_device(app, "--device", options.device);
  declare_precision(app, "--precision", options.precision);
}

/// What is to be continued: one of three.
void declare_prompt(CLI::App& app, Options& options) {
  auto* prompt =
      app.add_option("--prompt", options.prompt,
                     "Text to continue; without it, --prompt-ids and --chat, the whole of standard input is");
  auto* ids = app.add_option("--prompt-ids", options.prompt_ids, "Token ids to continue, e.g. \"1 2 3\"")
                  ->excludes(prompt);
  auto* bare = app.add_flag(
      "!--no-bos", options.bos,
      "The prompt alone: without BOS and whatever else the tokenizer's post-processor puts around a text");
  auto* chat =
      app.add_option("--chat", options.chat,
                     "Conversation to answer, a JSON list of {\"role\", \"content\"}; - for standard "
                     "input. With --json it is printed with the answer behind it")
          ->excludes(prompt)
          ->excludes(ids)
          ->excludes(bare);
  app.add_option("--chat-template", options.chat_template,
                 "llama4: told as Llama 4 is, though another template is stored with the model")
      ->check(CLI::IsMember({"llama4"}))
      ->needs(chat);
}

/// [rank 0] What no option gives, and the file of a conversation.
void read_inputs(const CLI::App& app, Options& options) {
  if (!options.chat.empty())
    options.conversation = read_conversation(options.chat);
  else if (app.count("--prompt") == 0 && app.count("--prompt-ids") == 0)
    options.prompt = prompt_of_standard_input();
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--model", options->model, "A Hugging Face folder, a checkpoint, or a run's folder")
      ->required();
  declare_prompt(app, *options);
  app.add_option(
      "--tokenizer", options->tokenizer,
      "Tokenizer, when the model has none of its own; one that it was not trained with is refused");
  add_integer(app, "--max-new-tokens", options->max_new_tokens, "[1, 16777215]",
              "How many tokens to make at most");
  declare_sampling(app, *options);
  declare_decoding(app, *options);
  declare_degrees(app, options->degrees);
  app.add_flag("--json", options->json,
               "Print one JSON object (ids and text, or the conversation) instead of streaming text");
  return [options, &app] {
    for (const char* name : {"--prompt", "--chat"})
      CARAVAN_CHECK(app.count(name) == 0 || !app.get_option(name)->as<std::string>().empty(), ConfigError,
                    fmt::format("{} is empty (nothing to continue; a variable that is not set?). To start "
                                "from BOS alone, give its number with --prompt-ids?",
                                name));
    if (options->greedy) options->sampling.temperature = 0;
    return with_world([&](Communicator& world) {
      if (world.rank() == 0) read_inputs(app, *options);
      return generate(*options, world);
    });
  };
}

}  // namespace

extern const Command generate_command{
    "generate", "Continue a text with a model, decoding with a key/value cache", &declare, true};

}  // namespace caravan::jobs
