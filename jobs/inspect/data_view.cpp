#include "jobs/inspect/data_view.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/printable.hpp"
#include "io/data/holds_shards.hpp"
#include "io/data/text_inputs.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/document_lengths.hpp"
#include "jobs/inspect/token_data.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::int64_t kMostIds = 1024;   // of a document that is shown
constexpr std::size_t kMostBytes = 8192;  // of a text

struct Document {
  std::int64_t length = 0;  ///< all of it
  std::vector<std::int32_t> ids;
  std::optional<std::string> text;
  bool is_cut = false;  ///< it is longer than what is here
};

struct Documents {
  std::string unit, origin;  ///< "made with tokenizer.json, 270 tokens"
  DocumentLengths lengths;
  std::vector<Document> shown;
  std::optional<std::int64_t> tokens, bytes;
};

/// Refuses what is about texts, and what would not be looked at.
void check_for_tokens(const DataInspectOptions& options) {
  const bool is_of_text = options.text.kind != "auto" || options.text.field != "text" ||
                          options.text.binary || options.separator != "file";
  CARAVAN_CHECK(!is_of_text, ConfigError,
                fmt::format("--format, --field, --binary and --document-separator are about texts ({} holds "
                            "tokens). Leave them out?",
                            options.text.inputs[0]));
  CARAVAN_CHECK(options.tokenizer.empty() || options.is_decoded, ConfigError,
                fmt::format("--tokenizer without --decode ({} holds tokens, whose ids are shown). --decode?",
                            options.text.inputs[0]));
}

/// With which tokens are decoded; null where they are to be shown as ids.
std::unique_ptr<Tokenizer> tokenizer_of(const DataInspectOptions& options, const TokenData& data) {
  if (!options.is_decoded) return nullptr;
  if (options.tokenizer.empty()) {
    TokenizerBeside beside = tokenizer_beside(options.text.inputs[0], data);
    CARAVAN_CHECK(beside.tokenizer, ConfigError,
                  fmt::format("--decode of {} without its tokenizer ({}). --tokenizer?",
                              options.text.inputs[0], beside.why));
    return std::move(beside.tokenizer);
  }
  const std::string file = io::tokenizer_file(options.tokenizer), sha256 = io::tokenizer_sha256(file);
  CARAVAN_CHECK(data.tokenizer_sha256().empty() || sha256 == data.tokenizer_sha256(), ConfigError,
                fmt::format("{} has the SHA-256 {} ({} was made with {}). The tokenizer of the data?", file,
                            sha256, options.text.inputs[0], data.tokenizer_sha256()));
  return io::load_tokenizer(file);
}

Documents documents_of_tokens(const DataInspectOptions& options) {
  check_for_tokens(options);
  const auto data = open_tokens(options.text.inputs[0]);
  const auto tokenizer = tokenizer_of(options, *data);
  const auto starts = data->document_starts();
  std::vector<std::int64_t> lengths;
  for (std::size_t at = 0; at < starts.size(); ++at)
    lengths.push_back((at + 1 < starts.size() ? starts[at + 1] : data->size()) - starts[at]);
  Documents found{"token", data->origin(), summarise(lengths), {}, data->size(), std::nullopt};
  const std::size_t shown = std::min(lengths.size(), static_cast<std::size_t>(options.documents));
  for (std::size_t at = 0; at < shown; ++at) {
    Document document{lengths[at], {}, std::nullopt, lengths[at] > kMostIds};
    document.ids.resize(static_cast<std::size_t>(std::min(lengths[at], kMostIds)));
    data->read(starts[at], document.ids);
    if (tokenizer) document.text = tokenizer->decode(document.ids);
    found.shown.push_back(std::move(document));
  }
  return found;
}

/// The front of a text, whole characters.
std::string front_of(std::string_view text) {
  if (text.size() <= kMostBytes) return std::string(text);
  std::size_t end = kMostBytes;
  while (end > kMostBytes - 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

Document shown_text(std::string_view text) {
  return {std::ssize(text), {}, front_of(text), text.size() > kMostBytes};
}

Document shown_tokens(std::vector<std::int32_t> ids, const Tokenizer* decoder) {
  Document document{std::ssize(ids), std::move(ids), std::nullopt, false};
  document.is_cut = document.length > kMostIds;
  if (document.is_cut) document.ids.resize(kMostIds);
  if (decoder) document.text = decoder->decode(document.ids);
  return document;
}

/// Of a text that was read, `lengths` being in tokens where there is a tokenizer.
void complete(Documents& found, std::vector<std::int64_t> lengths, const Tokenizer* tokenizer) {
  found.unit = tokenizer ? "token" : "byte";
  found.lengths = summarise(std::move(lengths));
  if (!tokenizer) return;
  found.tokens = found.lengths.total;
  found.origin = "with " + tokenizer->description();
}

/// Walks over all of it, and keeps the first documents.
Documents documents_of_text(const DataInspectOptions& options) {
  CARAVAN_CHECK(!options.is_decoded || !options.tokenizer.empty(), ConfigError,
                "--decode of texts without --tokenizer (there are no tokens). Leave --decode out?");
  std::unique_ptr<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) tokenizer = io::load_tokenizer(io::tokenizer_file(options.tokenizer));
  std::optional<io::DocumentEncoder> encoder;
  using Border = io::DocumentEncoder::Border;
  if (tokenizer) encoder.emplace(*tokenizer, Border::none, Border::none);
  Documents found;
  found.bytes = 0;
  std::vector<std::int64_t> lengths;
  const auto take = [&](std::string_view text) {
    std::vector<std::int32_t> ids;
    if (encoder) encoder->encode(text, ids);
    *found.bytes += std::ssize(text);
    lengths.push_back(encoder ? std::ssize(ids) : std::ssize(text));
    if (std::ssize(found.shown) >= options.documents) return;
    const Tokenizer* decoder = options.is_decoded ? tokenizer.get() : nullptr;
    found.shown.push_back(encoder ? shown_tokens(std::move(ids), decoder) : shown_text(text));
  };
  io::TextInputs(options.text.inputs, options.text.format(io::document_separator(options.separator)))
      .for_each(take);
  complete(found, std::move(lengths), tokenizer.get());
  return found;
}

bool is_of_tokens(const DataInspectOptions& options) {
  const std::string& path = options.text.inputs[0];
  const bool is_one = options.text.inputs.size() == 1;
  return is_one && (fs::is_directory(path) ? io::holds_shards(path) : fs::path(path).extension() == ".h5");
}

std::string head_of(const DataInspectOptions& options, const Documents& found, const TextStyle& style) {
  std::string counts = found.tokens ? with_commas(*found.tokens) + " tokens" : "";
  if (found.bytes)
    counts += fmt::format("{}{} bytes", counts.empty() ? "" : " of ", with_commas(*found.bytes));
  return fmt::format(
      "{}\n  {} in {}{}\n",
      painted(printable(fmt::format("{}", fmt::join(options.text.inputs, ", "))), Tone::strong, style.ink),
      counts, counted(found.lengths.count, "document"),
      found.origin.empty() ? "" : ", " + printable(found.origin));
}

std::string text_of(const Document& document) {
  if (document.text) return printable(*document.text, TextKind::lines) + "\n";
  return fmt::format("{}\n", fmt::join(document.ids, " "));
}

ordered_json to_json(std::size_t number, const Document& document, const std::string& unit) {
  ordered_json object = {{"document", number}, {unit + "s", document.length}, {"is_cut", document.is_cut}};
  if (unit == "token") object["ids"] = document.ids;
  if (document.text) object["text"] = *document.text;
  return object;
}

template <class Number>
ordered_json number_or_null(const std::optional<Number>& number) {
  return number ? ordered_json(*number) : ordered_json(nullptr);
}

}  // namespace

Report data_view(const DataInspectOptions& options, const TextStyle& style) {
  const Documents found = is_of_tokens(options) ? documents_of_tokens(options) : documents_of_text(options);
  Report report;
  report.text = head_of(options, found, style) + found.lengths.describe(found.unit);
  report.json = {{"paths", options.text.inputs},
                 {"documents", found.lengths.count},
                 {"tokens", number_or_null(found.tokens)},
                 {"bytes", number_or_null(found.bytes)},
                 {"origin", found.origin},
                 {"lengths", found.lengths.to_json(found.unit)},
                 {"shown", ordered_json::array()}};
  for (std::size_t number = 0; number < found.shown.size(); ++number) {
    const Document& document = found.shown[number];
    const std::string head = fmt::format("document {}: {}{}", number, counted(document.length, found.unit),
                                         document.is_cut ? ", of which the first are shown" : "");
    report.text += "\n" + painted(head, Tone::accent, style.ink) + "\n" + text_of(document);
    report.json["shown"].push_back(to_json(number, document, found.unit));
  }
  return report;
}

}  // namespace caravan::jobs
