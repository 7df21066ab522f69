#include "jobs/evaluate/evaluation_data.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/data/holds_shards.hpp"
#include "io/data/text_tokens.hpp"
#include "io/data/token_shards.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/identity/model_tokenizer.hpp"

namespace caravan::jobs {
namespace {

io::DocumentEncoder::Border border(bool is_asked_for) {
  return is_asked_for ? io::DocumentEncoder::Border::token : io::DocumentEncoder::Border::none;
}

/// Special tokens stand for no text.
std::vector<std::int32_t> bytes_of_tokens(const Tokenizer& tokenizer, std::int64_t vocab) {
  std::vector<std::int32_t> bytes(static_cast<std::size_t>(vocab), 0);
  for (std::int32_t id = 0; id < std::min<std::int64_t>(vocab, tokenizer.vocab_size()); ++id) {
    if (tokenizer.special_id(tokenizer.name_of(id)) == id) continue;
    std::string text;
    DecodePosition inside{.at_start = false};
    tokenizer.decode_one(id, inside, text);
    bytes[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(text.size());
  }
  return bytes;
}

EvaluationData read_text(const EvaluateOptions& options, const ModelSource& source, std::int64_t vocab) {
  const std::string path = find_tokenizer(source, options.tokenizer);
  CARAVAN_CHECK(
      !path.empty(), ConfigError,
      fmt::format("{} names no tokenizer (text is read with one). Give --tokenizer FILE?", options.model));
  const std::string file = io::tokenizer_file(path);
  const auto tokenizer = io::load_tokenizer(file);
  const io::DocumentEncoder encoder(*tokenizer, border(options.bos), border(options.eos));
  const io::TextInputs inputs(options.data.inputs,
                              options.data.format(io::document_separator(options.separator)));
  return {io::tokenise(inputs, encoder, *tokenizer, file), bytes_of_tokens(*tokenizer, vocab)};
}

/// A checkpoint knows the digest of its tokenizer; a folder of others has at most a file of another format
/// with the same tokens.
void check_made_for(const ModelSource& source, const io::TokenShards& shards, const std::string& folder) {
  const std::string made_with = shards.facts().tokenizer_sha256;
  if (made_with.empty()) return;
  if (!source.checkpoint.empty()) {
    const std::string trained_with = tokenizer_digest_of(source.checkpoint).digest;
    CARAVAN_CHECK(
        trained_with.empty() || trained_with == "sha256:" + made_with, IoError,
        fmt::format("the shards in {} were made with the tokenizer sha256:{} (the model was trained "
                    "with {}). Prepare the text with the model's?",
                    folder, made_with, trained_with));
    return;
  }
  const std::string own = find_tokenizer(source, "");
  if (own.empty() || io::tokenizer_sha256(io::tokenizer_file(own)) == made_with) return;
  log_warning(fmt::format(
      "the shards in {} were made with another tokenizer file than {}: the loss means nothing unless "
      "their tokens are the same",
      folder, own));
}

/// The tokenizer of shards: the given one, which must be it, or the one beside them, or the model's. Empty
/// where none is it.
std::string tokenizer_of_shards(const EvaluateOptions& options, const ModelSource& source,
                                const io::TokenShards& shards) {
  const std::string &folder = options.data.inputs.front(), made_with = shards.facts().tokenizer_sha256;
  const auto sha256 = [](const std::string& path) { return io::tokenizer_sha256(io::tokenizer_file(path)); };
  if (!options.tokenizer.empty()) {
    const std::string given = find_tokenizer(source, options.tokenizer);
    CARAVAN_CHECK(
        sha256(given) == made_with, ConfigError,
        fmt::format("--tokenizer {} has the SHA-256 {} (the shards in {} were made with {}). Leave it out?",
                    options.tokenizer, sha256(given), folder, made_with));
    return given;
  }
  for (const std::string& path : {io::find_tokenizer_file(folder), find_tokenizer(source, "")})
    if (!path.empty() && sha256(path) == made_with) return path;
  return "";
}

EvaluationData read_shards(const EvaluateOptions& options, const ModelSource& source, std::int64_t vocab) {
  auto shards = std::make_unique<io::TokenShards>(options.data.inputs.front());
  check_made_for(source, *shards, options.data.inputs.front());
  const std::string path = tokenizer_of_shards(options, source, *shards);
  EvaluationData data;
  if (path.empty())
    log_info(fmt::format(
        "{}: no tokenizer is known that made them, so there are no bits a byte. --tokenizer FILE?",
        options.data.inputs.front()));
  else
    data.token_bytes = bytes_of_tokens(*io::load_tokenizer(path), vocab);
  data.tokens = std::move(shards);
  return data;
}

}  // namespace

bool is_shards(const TextOptions& data) {
  const auto holds = [](const std::string& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored) && io::holds_shards(path);
  };
  const auto found = std::find_if(data.inputs.begin(), data.inputs.end(), holds);
  CARAVAN_CHECK(found == data.inputs.end() || data.inputs.size() == 1, ConfigError,
                fmt::format("--data names {} and {} more (a folder of token shards is read alone). One after "
                            "the other?",
                            *found, data.inputs.size() - 1));
  return found != data.inputs.end();
}

EvaluationData open_evaluation_data(const EvaluateOptions& options, const ModelSource& source) {
  const std::int64_t vocab = source.model.get_int("vocab_size");
  EvaluationData data =
      is_shards(options.data) ? read_shards(options, source, vocab) : read_text(options, source, vocab);
  const std::string paths = fmt::format("{}", fmt::join(options.data.inputs, ", "));
  CARAVAN_CHECK(data.tokens->size() > 0, IoError, paths + " holds no token (nothing to measure)");
  CARAVAN_CHECK(data.tokens->vocab_size() <= vocab, ConfigError,
                fmt::format("{} has token ids up to {} (the model's vocab_size is {}). The model's own "
                            "tokenizer, or shards that were made with it?",
                            paths, data.tokens->vocab_size() - 1, vocab));
  return data;
}

}  // namespace caravan::jobs
