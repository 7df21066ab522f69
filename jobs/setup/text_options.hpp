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

/// `name` (such as --input) for what is read, which `more` says more of, --format, --field, --binary.
void declare_text(CLI::App& app, TextOptions& options, const std::string& name = "--input",
                  const std::string& more = "");
/// The same without what is read.
void declare_text_format(CLI::App& app, TextOptions& options);

}  // namespace caravan::jobs
