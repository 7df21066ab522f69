#include "jobs/job/export_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

/// A checkpoint of caravan is what a type alone asks for.
std::string way_to(const std::string& format) {
  if (format == word_of(ModelFormat::hdf5)) return "checkpoint.export=fp32 or bf16, which is hdf5";
  return fmt::format("{{format: {}, dtype: bf16}}", format);
}

bool is_format(const Config& node) {
  if (node.kind() != Config::Kind::scalar) return false;
  const std::vector<std::string> words = format_words();
  return std::ranges::find(words, node.text()) != words.end();
}

}  // namespace

void check_export_word(const Config& node) {
  CARAVAN_CHECK(!is_format(node), ConfigError,
                fmt::format("{}: checkpoint.export={} (a format without the type of its weights). {}?",
                            node.where(), node.text(), way_to(node.text())));
  if (node.kind() != Config::Kind::map) return;
  const Config& format = node.find("format");
  CARAVAN_CHECK(!is_format(format) || format.text() != word_of(ModelFormat::hdf5), ConfigError,
                fmt::format("{}: checkpoint.export.format={} (the formats of others are given so). {}?",
                            format.where(), format.text(), way_to(format.text())));
}

ExportRule read_export(const Config& node) {
  if (node.kind() != Config::Kind::map) {
    const std::string word = node.as_string();
    return word == "none" ? ExportRule{} : ExportRule{ModelFormat::hdf5, weight_type_of(word)};
  }
  for (const char* key : {"format", "dtype"})
    CARAVAN_CHECK(node.has(key), ConfigError,
                  node.where() + ": checkpoint.export has no " + key + ". {format: hf, dtype: bf16}?");
  const Config given = validate(node, kExportParams, "checkpoint.export");
  return {format_of(given.get_string("format")), weight_type_of(given.get_string("dtype"))};
}

}  // namespace caravan::jobs
