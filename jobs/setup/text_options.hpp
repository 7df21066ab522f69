#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "io/data/documents.hpp"

namespace caravan::jobs {

/// What every verb that reads texts is told about them.
struct TextOptions {
  std::vector<std::string> inputs;
  std::string kind = "auto", field = "text";
  bool binary = false;

  io::DocumentFormat format(io::DocumentFormat::Separator separator) const;
};

/// --input, --format, --field, --binary.
void declare_text(CLI::App& app, TextOptions& options);
/// The same without --input.
void declare_text_format(CLI::App& app, TextOptions& options);

}  // namespace caravan::jobs
