#include "jobs/inspect/overview.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "io/checkpoint/layout.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/attributes.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/parameters.hpp"
#include "jobs/inspect/tree.hpp"
#include "jobs/inspect/value_text.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

/// The .h5 files of a checkpoint's folder.
struct DataFiles {
  std::uint64_t count = 0, bytes = 0;
};

DataFiles data_files(const std::string& folder) {
  DataFiles files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != ".h5") continue;
    ++files.count;
    files.bytes += entry.file_size(ignored);
  }
  return files;
}

std::vector<TreeLeaf> leaves_of(const Subject& subject, const NameFilter& filter) {
  std::vector<TreeLeaf> leaves;
  for (const TensorEntry* tensor : filter.choose(subject.tensors()))
    leaves.push_back({tensor->name, tensor, {}});
  if (const auto* reader = subject.checkpoint()) {
    for (const std::string& name : reader->attribute_names()) {
      if (filter.matches(name)) leaves.push_back({name, nullptr, value_text(reader->attribute(name))});
    }
  }
  if (const auto* file = subject.foreign()) {
    for (TreeLeaf& leaf : attribute_leaves(*file, filter)) leaves.push_back(std::move(leaf));
  }
  std::sort(leaves.begin(), leaves.end(), [](const TreeLeaf& a, const TreeLeaf& b) {
    return a.path != b.path ? natural_less(a.path, b.path) : natural_less(a.attribute, b.attribute);
  });
  return leaves;
}

std::uint64_t bytes_of(const std::vector<TensorEntry>& tensors) {
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : tensors) bytes += tensor.bytes;
  return bytes;
}

/// How the tensors of layers are stored, where that is not one by one.
std::string layers_of(const io::CheckpointReader& reader) {
  return reader.has_stacked_layers() ? "; layers stacked: tensors of several layers are stored as one" : "";
}

std::string head_text(const Subject& subject, Ink ink) {
  std::string text;
  for (const auto& [path, why] : subject.skipped) text += fmt::format("skipped {}: {}\n", path, why);
  text += painted(subject.path, Tone::strong, ink) + "\n";
  const auto* reader = subject.checkpoint();
  if (!reader)
    return text + fmt::format("  no checkpoint of caravan (no {} vouches for it): nothing is verified\n",
                              io::kManifestFile);
  const DataFiles files = data_files(subject.path);
  return text + fmt::format(
                    "  step {}, {} tokens seen, {} in {}, {} on disk in {}\n  layout: {}\n"
                    "  written by {}\n  verified: structure only (--verify reads every byte)\n",
                    reader->step(), with_commas(reader->tokens_seen()),
                    bytes_text(static_cast<double>(bytes_of(subject.tensors()))),
                    counted(static_cast<std::int64_t>(subject.tensors().size()), "tensor"),
                    bytes_text(static_cast<double>(files.bytes)),
                    counted(static_cast<std::int64_t>(files.count), "file"),
                    printable(reader->layout()) + layers_of(*reader), printable(reader->creator()));
}

ordered_json head_json(const Subject& subject) {
  ordered_json head = {{"path", subject.path}};
  if (const auto* reader = subject.checkpoint()) {
    const DataFiles files = data_files(subject.path);
    head["step"] = reader->step();
    head["tokens_seen"] = reader->tokens_seen();
    head["format_version"] = reader->format();
    head["layout"] = reader->layout();
    head["layers"] = reader->has_stacked_layers() ? "stacked" : "per-layer";
    head["creator"] = reader->creator();
    head["files"] = files.count;
    head["file_bytes"] = files.bytes;
  }
  head["bytes"] = bytes_of(subject.tensors());
  head["verified"] = subject.checkpoint() ? "structure" : "nothing";
  return head;
}

ordered_json values_json(const io::CheckpointReader& reader, const NameFilter& filter) {
  ordered_json values = ordered_json::object();
  for (const std::string& name : reader.attribute_names()) {
    if (!filter.matches(name)) continue;
    std::visit([&](const auto& value) { values[name] = value; }, reader.attribute(name));
  }
  return values;
}

ordered_json tensors_json(const std::vector<const TensorEntry*>& tensors) {
  ordered_json list = ordered_json::array();
  for (const TensorEntry* tensor : tensors) {
    list.push_back({{"name", tensor->name},
                    {"dtype", tensor->type},
                    {"shape", tensor->extents},
                    {"bytes", tensor->bytes}});
    if (tensor->element) continue;
    list.back()["readable"] = false;
    list.back()["why"] = tensor->unreadable;
  }
  return list;
}

ordered_json skipped_json(const Subject& subject) {
  ordered_json list = ordered_json::array();
  for (const auto& [path, why] : subject.skipped) list.push_back({{"path", path}, {"why", why}});
  return list;
}

}  // namespace

Report overview(const Subject& subject, const InspectOptions& options, const TextStyle& style) {
  const NameFilter filter(options.patterns);
  Report report;
  report.text =
      head_text(subject, style.ink) + draw_tree(leaves_of(subject, filter), options.depth, style.ink);
  report.json = head_json(subject);
  if (const auto* reader = subject.checkpoint()) {
    const Parameters parameters = count_parameters(*reader);
    report.text += parameters_text(parameters);
    report.json["parameters"] = parameters_json(parameters);
    report.json["values"] = values_json(*reader, filter);
  }
  if (const auto* file = subject.foreign()) report.json["attributes"] = attributes_json(*file, filter);
  report.json["tensors"] = tensors_json(filter.choose(subject.tensors()));
  report.json["skipped"] = skipped_json(subject);
  return report;
}

}  // namespace caravan::jobs
