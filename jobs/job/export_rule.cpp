#include "jobs/job/export_rule.hpp"

#include <map>
#include <string>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

using Format = ExportRule::Format;

DType type_of(const std::string& word) {
  static const std::map<std::string, DType> kTypes{
      {"fp32", DType::f32}, {"bf16", DType::bf16}, {"fp16", DType::f16}};
  return kTypes.at(word);
}

}  // namespace

ExportRule read_export(const Config& node) {
  if (node.kind() != Config::Kind::map) {
    const std::string word = node.as_string();
    return word == "none" ? ExportRule{} : ExportRule{Format::checkpoint, type_of(word)};
  }
  static const std::map<std::string, Format> kFormats{
      {"hf", Format::hf}, {"meta", Format::meta}, {"safetensors", Format::safetensors}};
  for (const char* key : {"format", "dtype"})
    CARAVAN_CHECK(node.has(key), ConfigError,
                  node.where() + ": checkpoint.export has no " + key + ". {format: hf, dtype: bf16}?");
  const Config given = validate(node, kExportParams, "checkpoint.export");
  return {kFormats.at(given.get_string("format")), type_of(given.get_string("dtype"))};
}

}  // namespace caravan::jobs
