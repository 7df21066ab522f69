#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "io/data/shard_writer.hpp"
#include "io/data/text_inputs.hpp"
#include "io/data/token_shards.hpp"
#include "io/data/unigram_entropy.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/command.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/drawing/pager.hpp"
#include "jobs/inspect/data_view.hpp"
#include "jobs/setup/text_options.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kLeastShard = 1 << 10;
constexpr std::int64_t kMostShard = std::int64_t{1} << 31;
constexpr std::int64_t kUsualShard = std::int64_t{1} << 26;

struct Prepare {
  TextOptions text;
  std::string tokenizer, output;
  std::string separator = "file";
  bool bos = false, eos = false, json = false;
  double validation_fraction = 0.05;
  std::int64_t shard_tokens = kUsualShard;
};

struct Counts {
  std::int64_t documents = 0, tokens = 0, bytes = 0;
  int shards = 0;
};

io::DocumentEncoder::Border border(bool is_asked_for) {
  return is_asked_for ? io::DocumentEncoder::Border::token : io::DocumentEncoder::Border::none;
}

/// The shards carry their tokenizer, so that whoever has them can decode.
void keep_tokenizer(const std::string& file, io::ShardWriter& writer) {
  for (const auto& [name, bytes] : io::read_tokenizer_files(file).files) writer.add_file(name, bytes);
}

/// Shards and their tokenizer would be texts of the next preparation.
void check_output(const Prepare& options) {
  namespace fs = std::filesystem;
  const fs::path output = fs::weakly_canonical(fs::absolute(options.output));
  for (const std::string& input : options.text.inputs) {
    if (!fs::is_directory(input)) continue;
    const fs::path folder = fs::weakly_canonical(fs::absolute(input));
    const auto [ended, same] = std::mismatch(folder.begin(), folder.end(), output.begin(), output.end());
    CARAVAN_CHECK(
        ended != folder.end(), ConfigError,
        fmt::format("--output {} lies in the folder {} of --input (its files would be read as text the next "
                    "time). Another folder?",
                    options.output, input));
  }
}

Counts write_shards(const Prepare& options) {
  check_output(options);
  const std::string file = io::tokenizer_file(options.tokenizer);
  const auto tokenizer = io::load_tokenizer(file);
  const io::DocumentEncoder encoder(*tokenizer, border(options.bos), border(options.eos));
  const io::TextInputs inputs(options.text.inputs,
                              options.text.format(io::document_separator(options.separator)));
  io::ShardWriter writer(options.output,
                         {tokenizer->vocab_size(), tokenizer->description(), io::tokenizer_sha256(file)},
                         options.shard_tokens);
  Counts counts;
  ProgressLine progress;
  std::vector<std::int32_t> tokens;
  const auto take = [&](std::string_view document) {
    tokens.clear();
    encoder.encode(document, tokens);
    writer.add_document(tokens);
    counts.tokens += static_cast<std::int64_t>(tokens.size());
    counts.bytes += static_cast<std::int64_t>(document.size());
    if (++counts.documents % 1000 == 0)
      progress.show(fmt::format("{} documents, {} tokens", counts.documents, counts.tokens));
  };
  inputs.for_each(take);
  keep_tokenizer(file, writer);
  counts.shards = writer.finish();
  return counts;
}

/// Reads the shards back, which also proves that they can be read.
nlohmann::ordered_json summary(const Prepare& options, const Counts& counts) {
  const io::TokenShards shards(options.output);
  const auto held_out =
      static_cast<std::int64_t>(options.validation_fraction * static_cast<double>(shards.size()));
  const std::int64_t border = shards.size() - held_out;
  return {{"output", options.output},
          {"shards", counts.shards},
          {"documents", counts.documents},
          {"bytes", counts.bytes},
          {"tokens", shards.size()},
          {"vocab_size", shards.vocab_size()},
          {"tokens_per_byte", static_cast<double>(shards.size()) / static_cast<double>(counts.bytes)},
          {"validation_fraction", options.validation_fraction},
          {"train_tokens", border},
          {"train_unigram_entropy_nats", io::unigram_entropy(shards, 0, border)},
          {"validation_tokens", held_out},
          {"validation_unigram_entropy_nats", io::unigram_entropy(shards, border, shards.size())}};
}

std::string for_people(const nlohmann::ordered_json& facts) {
  std::string text;
  for (const auto& [key, value] : facts.items()) {
    const std::string shown = value.is_string()         ? value.get<std::string>()
                              : value.is_number_float() ? fmt::format("{:.4f}", value.get<double>())
                                                        : value.dump();
    text += fmt::format("{:<32} {}\n", key, shown);
  }
  return text;
}

int run_prepare(const Prepare& options) {
  const auto facts = summary(options, write_shards(options));
  write_standard_output(options.json ? facts.dump() + "\n" : for_people(facts));
  return 0;
}

void declare_separator(CLI::App& app, std::string& separator) {
  app.add_option("--document-separator", separator, "What ends a document of plain text")
      ->check(CLI::IsMember({"file", "blank-line", "line"}))
      ->capture_default_str();
}

void declare_documents(CLI::App& app, Prepare& options) {
  declare_separator(app, options.separator);
  app.add_flag("--bos", options.bos, "Begin every document with the tokenizer's BOS token");
  app.add_flag("--eos", options.eos, "End every document with the tokenizer's EOS token");
}

std::function<int()> declare_prepare(CLI::App& app) {
  auto options = std::make_shared<Prepare>();
  declare_text(app, options->text);
  app.add_option("--tokenizer", options->tokenizer, "tokenizer.json, tokenizer.model, or a folder with one")
      ->required();
  app.add_option("--output", options->output, "The folder for the shards; made when it is not there")
      ->required();
  declare_documents(app, *options);
  add_number(app, "--validation-fraction", options->validation_fraction, "[0, 1]",
             "The tail whose entropy is printed by itself");
  add_integer(app, "--shard-tokens", options->shard_tokens, fmt::format("[{}, {}]", kLeastShard, kMostShard),
              "The most tokens of one file");
  app.add_flag("--json", options->json, "Print one JSON object");
  return [options] { return run_prepare(*options); };
}

int run_inspect(const DataInspectOptions& options, bool is_json) {
  const Report report = data_view(options, is_json ? TextStyle{} : style_of_standard_output());
  if (is_json)
    write_standard_output(report.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  else
    page_standard_output(report.text, TextKind::styled_lines);
  return 0;
}

std::function<int()> declare_inspect(CLI::App& app) {
  auto options = std::make_shared<DataInspectOptions>();
  auto is_json = std::make_shared<bool>(false);
  app.add_option("path", options->text.inputs,
                 "A folder of token shards, one shard, or texts as data prepare takes them")
      ->required();
  declare_text_format(app, options->text);
  declare_separator(app, options->separator);
  app.add_option("--tokenizer", options->tokenizer,
                 "tokenizer.json, tokenizer.model, or a folder with one: shows texts as its tokens; of token "
                 "shards the one beside them unless given");
  add_integer(app, "--documents", options->documents, "[0, 1000]", "How many are shown, the first ones");
  app.add_flag("--decode", options->is_decoded, "Show tokens as the text that they stand for");
  app.add_flag("--json", *is_json, "Print one JSON object");
  return [options, is_json] { return run_inspect(*options, *is_json); };
}

std::function<int()> declare(CLI::App& app) {
  app.require_subcommand(1);
  const auto prepare = declare_prepare(*app.add_subcommand("prepare", "Turns text into HDF5 token shards"));
  CLI::App& looks = *app.add_subcommand("inspect", "Shows documents, their lengths, tokens and text");
  const auto inspect = declare_inspect(looks);
  return [&looks, prepare, inspect] { return looks.parsed() ? inspect() : prepare(); };
}

}  // namespace

extern const Command data_command{"data", "Prepares training data, and shows them", declare};

}  // namespace caravan::jobs
