#include "jobs/setup/text_options.hpp"

namespace caravan::jobs {

io::DocumentFormat TextOptions::format(io::DocumentFormat::Separator separator) const {
  return {.kind = io::document_kind(kind),
          .separator = separator,
          .field = field,
          .content = binary ? io::Content::binary : io::Content::text};
}

void declare_text(CLI::App& app, TextOptions& options, const std::string& name, const std::string& more) {
  app.add_option(
         name, options.inputs,
         "Text or JSON-lines files, folders (with theirs), 'globs', @LIST (one path a line) and - (standard "
         "input); gzip and zstd are read" +
             more)
      ->required();
  declare_text_format(app, options);
}

void declare_text_format(CLI::App& app, TextOptions& options) {
  app.add_option("--format", options.kind,
                 "auto takes *.jsonl and *.json for JSON lines, also with .gz or .zst behind")
      ->check(CLI::IsMember({"auto", "text", "jsonl"}))
      ->capture_default_str();
  app.add_option("--field", options.field, "The key of a JSON line that holds the text")
      ->capture_default_str();
  app.add_flag("--binary", options.binary,
               "Take any bytes; without it NUL and what is no UTF-8 are refused with their place");
}

}  // namespace caravan::jobs
