#include "io/data/text_source.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/data/text_inputs.hpp"
#include "io/data/text_tokens.hpp"
#include "io/text/load_tokenizer.hpp"

namespace caravan::io {
namespace {

DocumentEncoder::Border border(const Config& config, std::string_view key) {
  return config.get_bool(key) ? DocumentEncoder::Border::token : DocumentEncoder::Border::none;
}

/// Every rank reads, and a resumed run reads again.
std::vector<std::string> paths_of(const Config& config) {
  const std::vector<std::string> paths = config.at("path").as_string_list();
  for (const std::string& path : paths)
    CARAVAN_CHECK(
        path != kStandardInput, ConfigError,
        "data.path names standard input ('-'), which a run that resumes cannot read again. Make shards of "
        "it with caravan data prepare --input -?");
  return paths;
}

std::unique_ptr<TokenStream> read_stream(const Config& config) {
  const std::string file = tokenizer_file(config.get_string("tokenizer"));
  const auto tokenizer = load_tokenizer(file);
  const DocumentEncoder encoder(*tokenizer, border(config, "bos"), border(config, "eos"));
  const DocumentFormat format{.kind = document_kind(config.get_string("format")),
                              .separator = document_separator(config.get_string("separator")),
                              .field = config.get_string("field"),
                              .content = config.get_bool("binary") ? Content::binary : Content::text};
  return tokenise(TextInputs(paths_of(config), format), encoder, *tokenizer, file);
}

}  // namespace

TextSource::TextSource(const Host&, const Config& config)
    : WindowSource(read_stream(config), window_options(config)) {}

}  // namespace caravan::io
