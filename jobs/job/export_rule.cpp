#include "jobs/job/export_rule.hpp"

#include <string>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
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
