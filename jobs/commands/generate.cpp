#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/log.hpp"
#include "caravan/tokenizer.hpp"
#include "io/text/load_tokenizer.hpp"
#include "jobs/asked_to_leave.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/generate/answers.hpp"
#include "jobs/generate/chat_format.hpp"
#include "jobs/generate/chat_template.hpp"
#include "jobs/generate/continue_sequences.hpp"
#include "jobs/generate/plan_decoding.hpp"
#include "jobs/generate/prompt.hpp"
#include "jobs/model_options.hpp"
#include "jobs/rank_degrees.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/state/model_source.hpp"
#include "jobs/watch/stop_request.hpp"

namespace caravan::jobs {
namespace {

using Options = GenerateOptions;

/// With --chat, one that goes with Llama 4's template.
std::unique_ptr<Tokenizer> tokenizer_for(const Options& options, const ModelSource& source) {
  const std::string path = find_tokenizer(source, options.tokenizer);
  const bool is_chat = !options.chat.empty();
  CARAVAN_CHECK(!path.empty() || (options.prompt.empty() && options.stops.empty() && !is_chat), ConfigError,
                fmt::format("{} names no tokenizer (needed for {}). Give --tokenizer FILE{}?", options.model,
                            is_chat                  ? "--chat"
                            : options.prompt.empty() ? "--stop"
                                                     : "--prompt",
                            is_chat ? "" : ", or --prompt-ids"));
  if (is_chat) check_chat_template(source, path, !options.chat_template.empty());
  return path.empty() ? nullptr : io::load_tokenizer(path);
}

/// How many of the model's tokens may be drawn: a vocabulary that was rounded up has some that stand for no
/// text.
std::int64_t drawable(std::int64_t vocab, const Tokenizer* tokenizer) {
  const std::int64_t known = tokenizer ? tokenizer->vocab_size() : vocab;
  if (known < vocab)
    log_warning(
        fmt::format("the model has {} tokens and the tokenizer {}: the others are not drawn", vocab, known));
  return std::min(vocab, known);
}

/// The ids that end what is generated.
std::vector<std::int32_t> stops_of(const ModelSource& source, const Tokenizer* tokenizer,
                                   const ChatFormat* chat) {
  std::vector<std::int32_t> stops;
  for (const std::int64_t id : source.eos) stops.push_back(narrow<std::int32_t>({"eos_token_id", id}));
  if (tokenizer && tokenizer->eos()) stops.push_back(*tokenizer->eos());
  if (chat) stops.insert(stops.end(), chat->stops().begin(), chat->stops().end());
  return stops;
}

/// Of what is asked in `options`, with a cache for it.
DecodePlan plan_of(const Options& options, const std::vector<Asked>& asked, const Device& device,
                   ModelInstance& model, std::int64_t vocab, const Tokenizer* tokenizer) {
  DecodePlan plan = plan_decoding(device, model, cache_of(options, asked, model.stage().chunk_size()));
  plan.drawable = drawable(vocab, tokenizer);
  plan.bias = logit_bias_of(options, vocab, plan.drawable);
  plan.keeps_seen = options.sampling.repetition != 1;
  plan.log_probs = options.log_probs;
  return plan;
}

void check_ranks(const Options& options, Communicator& world) {
  CARAVAN_CHECK(world.size() == 1 || options.degrees.tensor * options.degrees.expert > 1, ConfigError,
                fmt::format("generate on {} ranks (each would do all of it). --tensor {}, or one rank?",
                            world.size(), world.size()));
}

/// Where all that is asked waits; what could never be answered is refused here.
Batcher batcher_of(const std::vector<Asked>& asked, const DecodePlan& plan, std::int64_t chunk) {
  Batcher batcher(plan.cache, chunk, plan.most_rows, plan.stops);
  for (const Asked& each : asked) {
    try {
      batcher.enqueue(each.sequence);
    } catch (Error& error) {
      if (!each.place.empty()) error.add_context(each.place);
      throw;
    }
  }
  return batcher;
}

/// [rank 0] What may take long before the first step looks up here. Where nobody listens, signals end it.
LeaveWhenAsked leaving(const StopRequest* stop) {
  return [stop] {
    if (!stop || stop->signal() == 0) return;
    throw AskedToLeave(fmt::format(
        "asked to leave by signal {} (no prompt was answered yet). The same command starts again?",
        stop->signal()));
  };
}

/// What is asked, and who answers.
struct Answering {
  const Options& options;
  const std::vector<Asked>& asked;
  const Tokenizer* tokenizer;
  Device& device;
  Communicator& world;
  const StopRequest* stop;  ///< or null
};

int answer(const Answering& all, Decoder& decoder, Batcher& batcher) {
  GrowingAnswers answers(all.options, all.asked, all.tokenizer, all.world.rank() == 0);
  const bool is_done = continue_sequences({all.device, decoder, batcher, all.world,
                                           [&](const Batcher::Drawn& drawn) { return answers.take(drawn); },
                                           [&] { return all.stop && all.stop->agreed(all.world) != 0; }});
  answers.end();
  if (!is_done)
    log_info("asked to leave: the lines that are there are whole. The same command starts from the first");
  return is_done ? 0 : static_cast<int>(ExitCode::requeue);
}

/// Every rank feeds the same tokens; rank 0 shows them.
int generate(const Options& options, Communicator& world, const StopRequest* stop) {
  check_ranks(options, world);
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
  std::vector<Asked> asked;
  if (world.rank() == 0) asked = asked_of(options, tokenizer.get(), chat.get(), vocab, leaving(stop));
  share(world, asked);
  ModelInstance model(*registry, {device.get(), choose_precision(*device, options.precision), mesh.get()},
                      source.plugin, source.model, longest_of(asked));
  DecodePlan plan = plan_of(options, asked, *device, model, vocab, tokenizer.get());
  plan.is_alone = world.size() == 1;
  if (!options.ignore_eos) plan.stops = stops_of(source, tokenizer.get(), chat.get());
  Batcher batcher = batcher_of(asked, plan, model.stage().chunk_size());
  check_decoding(*device, model, plan);
  model.allocate(ParameterStore::Content::weights, 0);
  load_weights(source, *device, model.parameters(), model.parameters());
  Decoder decoder(*device, model.stage(), std::move(plan));
  return answer({options, asked, tokenizer.get(), *device, world, stop}, decoder, batcher);
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
      add_number(app, "--min-p", options.sampling.min_p, "[0, 1]",
                 "Only tokens of at least this share of the likeliest one's probability"),
      add_integer(app, "--seed", options.sampling.seed, ">= 0", "Of the draws; sample s has this + s")};
  for (CLI::Option* option : of_draws) option->excludes(greedy);
  add_number(app, "--repetition-penalty", options.sampling.repetition, "[0.01, 100]",
             "Above 1: tokens of the prompt and the answer become less likely again");
  app.add_option("--logit-bias", options.logit_bias,
                 "Added to the logit of a token, as ID=VALUE; -inf: it is never drawn");
}

/// Of more than one answer.
void declare_batches(CLI::App& app, Options& options) {
  add_integer(app, "--num-samples", options.samples, "[1, 65536]",
              "Answers of each prompt; more than one come as JSON lines");
  add_integer(app, "--batch", options.batch, "[1, 65536]", "Sequences at a time");
  add_integer(app, "--cache-positions", options.cache_positions, "[0, 2147483647]",
              "Positions that the cache holds at most, of all sequences together; 0: of the --batch longest");
}

void declare_decoding(CLI::App& app, Options& options) {
  app.add_flag("--ignore-eos", options.ignore_eos, "Go on after a token that ends a text or an answer");
  app.add_option("--stop", options.stops, "Text that ends an answer, of which it is no part; may be repeated")
      ->expected(1)
      ->take_all();
  app.add_flag("--logprobs", options.log_probs,
               "With JSON: the logarithm of each token's probability under the model, before all rules");
  declare_device(app, "--device", options.device);
  declare_precision(app, "--precision", options.precision);
}

/// What is to be continued: one of four.
void declare_prompt(CLI::App& app, Options& options) {
  auto* prompt = app.add_option(
      "--prompt", options.prompt,
      "Text to continue; without it, --prompt-ids, --prompts and --chat, the whole of standard "
      "input is");
  auto* ids = app.add_option("--prompt-ids", options.prompt_ids, "Token ids to continue, e.g. \"1 2 3\"")
                  ->excludes(prompt);
  auto* file =
      app.add_option("--prompts", options.prompts,
                     "File of prompts, - for standard input: one a line, or JSON lines with prompt or "
                     "prompt_ids and, as they wish, seed, max_new_tokens, stop, id. Answers are JSON lines "
                     "in the file's order")
          ->excludes(prompt)
          ->excludes(ids);
  auto* bare = app.add_flag(
      "!--no-bos", options.bos,
      "The prompt alone: without BOS and whatever else the tokenizer's post-processor puts around a text");
  auto* chat =
      app.add_option("--chat", options.chat,
                     "Conversation to answer, a JSON list of {\"role\", \"content\"}; - for standard "
                     "input. With --json it is printed with the answer behind it")
          ->excludes(prompt)
          ->excludes(ids)
          ->excludes(file)
          ->excludes(bare);
  app.add_option("--chat-template", options.chat_template,
                 "llama4: told as Llama 4 is, though another template is stored with the model")
      ->check(CLI::IsMember({"llama4"}))
      ->needs(chat);
}

/// [rank 0] What no option gives, and the file of a conversation.
void read_inputs(const CLI::App& app, Options& options, const LeaveWhenAsked& leave_when_asked) {
  if (!options.chat.empty())
    options.conversation = read_conversation(options.chat);
  else if (!options.prompts.empty())
    options.given = read_prompts(options.prompts, leave_when_asked);
  else if (app.count("--prompt") == 0 && app.count("--prompt-ids") == 0)
    options.prompt = prompt_of_standard_input(leave_when_asked);
}

void check(const Options& options) {
  check_stops(options.stops, "--stop");
  CARAVAN_CHECK(!options.log_probs || options.json || options.has_lines(), ConfigError,
                "--logprobs with a text (there is no place for them). With --json?");
  CARAVAN_CHECK(options.chat.empty() || options.samples == 1, ConfigError,
                "--num-samples with --chat (a conversation has one answer). With --prompt?");
}

/// Lines of many answers are whole whenever somebody ends the program.
int run(const CLI::App& app, Options& options) {
  check(options);
  const auto stop = options.has_lines() ? std::make_unique<StopRequest>() : nullptr;
  return with_world([&](Communicator& world) {
    if (world.rank() == 0) read_inputs(app, options, leaving(stop.get()));
    return generate(options, world, stop.get());
  });
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
  declare_batches(app, *options);
  declare_degrees(app, options->degrees);
  app.add_flag("--json", options->json,
               "Print one JSON object (ids and text, or the conversation) instead of streaming text");
  return [options, &app] {
    for (const char* name : {"--prompt", "--prompt-ids", "--prompts", "--chat"})
      CARAVAN_CHECK(app.count(name) == 0 || !app.get_option(name)->as<std::string>().empty(), ConfigError,
                    fmt::format("{} is empty (nothing to continue; a variable that is not set?). To start "
                                "from BOS alone, give its number with --prompt-ids?",
                                name));
    if (options->greedy) options->sampling.temperature = 0;
    return run(app, *options);
  };
}

}  // namespace

extern const Command generate_command{
    "generate", "Continue a text with a model, decoding with a key/value cache", &declare, true};

}  // namespace caravan::jobs
