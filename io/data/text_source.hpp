#pragma once

#include "caravan/host.hpp"
#include "io/data/join_params.hpp"
#include "io/data/windows.hpp"

namespace caravan::io {

/// Text or JSON-lines files, tokenised in memory when the source is made.
class TextSource final : public WindowSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "text";
  static constexpr const char* kSummary = "Text or JSON-lines files, tokenised in memory at the start.";
  static constexpr auto kParams = join_params(
      std::array<caravan_param, 8>{{
          {"path", "path list", nullptr, "", "",
           "Files, folders, globs and @lists of them, in this order; gzip and zstd are read."},
          {"tokenizer", "path", nullptr, "", "", "tokenizer.json, tokenizer.model, or a folder with one."},
          {"format", "auto|text|jsonl", "auto", "", "",
           "auto takes *.jsonl and *.json for JSON lines, also with .gz or .zst behind."},
          {"field", "string", "text", "", "", "The key of a JSON line that holds the text."},
          {"separator", "file|blank-line|line", "file", "", "", "What ends a document of plain text."},
          {"binary", "bool", "false", "", "",
           "Take any bytes; without it NUL and what is no UTF-8 are refused with their place."},
          {"bos", "bool", "false", "", "", "Begin every document with the tokenizer's BOS token."},
          {"eos", "bool", "false", "", "", "End every document with the tokenizer's EOS token."},
      }},
      kWindowParams);

  TextSource(const Host& host, const Config& config);
};

}  // namespace caravan::io
