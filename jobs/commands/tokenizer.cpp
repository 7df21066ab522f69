#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/data/text_inputs.hpp"
#include "io/files/pending_file.hpp"
#include "io/files/strict_json.hpp"
#include "io/text/bpe_trainer.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_json_writer.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/outputs.hpp"
#include "jobs/setup/text_options.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::json;

struct Train {
  TextOptions text;
  std::int32_t vocab_size = 0;
  std::string output;
};

struct Encode {
  std::string tokenizer;
  bool json_lines = false, special = false, bos = false, eos = false;
  CLI::Option* text_option = nullptr;
  std::string text;
};

struct Decode {
  std::string tokenizer;
  bool json_lines = false;
  std::vector<std::int32_t> ids;
};

void refuse_to_overwrite(const io::TextInputs& inputs, const std::string& output) {
  std::vector<io::NamedFile> files;
  for (const std::string& file : inputs.files()) {
    if (file != io::kStandardInput) files.push_back({"--input", file});
  }
  check_user_outputs({{"--output", output}}, files);
}

int run_train(const Train& options) {
  const io::TextInputs inputs(options.text.inputs,
                              options.text.format(io::DocumentFormat::Separator::anywhere));
  refuse_to_overwrite(inputs, options.output);
  io::BpeTrainer trainer;
  ProgressLine progress;
  std::uint64_t bytes = 0;
  inputs.for_each([&](std::string_view text) {
    trainer.add_text(text);
    bytes += text.size();
    progress.show(fmt::format("{} bytes read", bytes));
  });
  CARAVAN_CHECK(bytes > 0, IoError,
                "no text in the input (a vocabulary is learned from it). Name another --input?");
  const std::int32_t wanted = options.vocab_size - io::kNumAddedTokens;
  const auto learned = trainer.learn(
      wanted, [&](std::int32_t tokens) { progress.show(fmt::format("{} of {} tokens", tokens, wanted)); });
  const std::string text = io::write_tokenizer_json(learned);
  io::write_output(options.output, text);
  const auto tokens = static_cast<std::int32_t>(learned.tokens.size()) + io::kNumAddedTokens;
  if (tokens < options.vocab_size)
    log_warning(
        fmt::format("{} tokens instead of {} (no other pair of tokens occurs twice in the text). More text?",
                    tokens, options.vocab_size));
  write_standard_output(fmt::format("{}: {} tokens learned from {} bytes\n", options.output, tokens, bytes));
  return 0;
}

std::int32_t border(std::optional<std::int32_t> id, const std::string& file, std::string_view name) {
  CARAVAN_CHECK(id, ConfigError, fmt::format("{} has no {} token. Leave --{} out?", file, name, name));
  return *id;
}

std::vector<std::int32_t> encode_text(const Encode& options, const Tokenizer& tokenizer,
                                      std::string_view text) {
  std::vector<std::int32_t> ids;
  if (options.bos) ids.push_back(border(tokenizer.bos(), options.tokenizer, "bos"));
  const auto middle = tokenizer.encode(text, options.special ? Special::recognise : Special::as_text);
  ids.insert(ids.end(), middle.begin(), middle.end());
  if (options.eos) ids.push_back(border(tokenizer.eos(), options.tokenizer, "eos"));
  return ids;
}

/// Calls `convert` with the JSON value of every line of standard input and writes what it gives, a line each.
template <class Convert>
void for_each_json_line(const Convert& convert) {
  std::size_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const std::string place = fmt::format("standard input:{}", ++number);
    try {
      write_standard_output(convert(io::parse_json_strict(line, place)) + "\n");
    } catch (const json::exception& error) {
      throw IoError(
          fmt::format("{}: {} (every line holds one JSON value of the kind that --json-lines asks for)",
                      place, error.what()));
    }
  }
}

int run_encode(const Encode& options) {
  const auto tokenizer = io::load_tokenizer(options.tokenizer);
  if (options.json_lines) {
    for_each_json_line([&](const json& line) {
      return json(encode_text(options, *tokenizer, line.get_ref<const std::string&>())).dump();
    });
    return 0;
  }
  const std::string text = options.text_option->count() > 0 ? options.text : read_standard_input();
  write_standard_output(fmt::format("{}\n", fmt::join(encode_text(options, *tokenizer, text), " ")));
  return 0;
}

/// Of a JSON list. The library's own conversion makes 1 of 4294967297 and of 1.5.
std::vector<std::int32_t> ids_of(const json& line) {
  std::vector<std::int32_t> ids;
  for (const json& id : line.get_ref<const json::array_t&>())
    ids.push_back(static_cast<std::int32_t>(read_integer("id", id.dump(), kTokenIds)));
  return ids;
}

/// What standard input holds is a bad file, not wrong use.
std::vector<std::int32_t> ids_from(const std::string& text) {
  try {
    return read_token_ids("id", text, ",[]");
  } catch (const ConfigError& error) {
    throw IoError(fmt::format("standard input: {}. Encode the text first?", error.message()));
  }
}

int run_decode(const Decode& options) {
  const auto tokenizer = io::load_tokenizer(options.tokenizer);
  if (options.json_lines) {
    for_each_json_line(
        [&](const json& line) { return json(replace_invalid_utf8(tokenizer->decode(ids_of(line)))).dump(); });
    return 0;
  }
  const auto ids = options.ids.empty() ? ids_from(read_standard_input()) : options.ids;
  write_standard_output(tokenizer->decode(ids));
  return 0;
}

std::function<int()> declare_train(CLI::App& app) {
  auto options = std::make_shared<Train>();
  declare_text(app, options->text);
  add_wanted_integer(app, "--vocab-size", options->vocab_size,
                     fmt::format("[{}, {}]", 256 + io::kNumAddedTokens, 1 << 22),
                     "Number of tokens, with the 256 bytes, BOS and EOS")
      ->required();
  app.add_option("--output", options->output, "The tokenizer.json to write")->required();
  return [options] { return run_train(*options); };
}

void add_tokenizer_option(CLI::App& app, std::string& file) {
  app.add_option("--tokenizer", file,
                 "tokenizer.json, tokenizer.model (tiktoken or SentencePiece), or a folder with one")
      ->required();
}

std::function<int()> declare_encode(CLI::App& app) {
  auto options = std::make_shared<Encode>();
  add_tokenizer_option(app, options->tokenizer);
  app.add_flag("--json-lines", options->json_lines,
               "Read one JSON string a line, write one JSON list of ids a line");
  app.add_flag("--special", options->special,
               "Recognise the names of special tokens; without it they are plain text");
  app.add_flag("--bos", options->bos, "Begin with the tokenizer's BOS token");
  app.add_flag("--eos", options->eos, "End with the tokenizer's EOS token");
  options->text_option =
      app.add_option("text", options->text, "What to encode; without it standard input, to its end");
  return [options] { return run_encode(*options); };
}

std::function<int()> declare_decode(CLI::App& app) {
  auto options = std::make_shared<Decode>();
  add_tokenizer_option(app, options->tokenizer);
  app.add_flag("--json-lines", options->json_lines,
               "Read one JSON list of ids a line, write one JSON string a line");
  add_integers(app, "ids", options->ids, kTokenIds,
               "What to decode; without them standard input, blanks, commas and brackets between");
  return [options] { return run_decode(*options); };
}

std::function<int()> declare(CLI::App& app) {
  app.require_subcommand(1);
  auto chosen = std::make_shared<std::function<int()>>();
  const auto add = [&](const char* name, const char* summary,
                       std::function<int()> (*declare_verb)(CLI::App&)) {
    CLI::App* verb = app.add_subcommand(name, summary);
    verb->callback([chosen, action = declare_verb(*verb)] { *chosen = action; });
  };
  add("train", "Learns a byte-level BPE vocabulary from text", declare_train);
  add("encode", "Turns text into token ids", declare_encode);
  add("decode", "Turns token ids into text", declare_decode);
  return [chosen] { return (*chosen)(); };
}

}  // namespace

extern const Command tokenizer_command{"tokenizer", "Learns tokenizers, turns text into ids and back",
                                       declare};

}  // namespace caravan::jobs
