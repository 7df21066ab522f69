#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/parameter_counts.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/hdf5/isolated_walk.hpp"
#include "io/hf/model_path.hpp"
#include "jobs/command.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kModelRoot = "/model/";

struct Options {
  std::string path;
  bool json = false, job = false, verify = false;
};

/// One line of the tree.
struct Row {
  std::string group;  ///< "/optimizer/exp_avg"
  std::string name;   ///< "norm.weight"
  std::string type;
  std::vector<std::uint64_t> extents;
  std::uint64_t bytes = 0;
  std::string value;  ///< of a number or text instead of a tensor
};

/// What the file shows, trusted or not.
struct Contents {
  std::vector<Row> rows;
  io::ParameterCounts counts;
  std::uint64_t bytes = 0;

  void add(Row row) {
    bytes += row.bytes;
    rows.push_back(std::move(row));
  }
};

/// Names come from files: nothing in them may steer a terminal.
std::string printable(const std::string& text) {
  const std::string quoted = json(text).dump(-1, ' ', true, json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

std::pair<std::string, std::string> split(const std::string& path) {
  const auto slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

std::string value_text(const io::CheckpointValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  return std::get<std::string>(value);
}

Contents contents_of(const io::CheckpointReader& reader) {
  Contents contents;
  for (const io::TensorRecord& tensor : reader.tensors()) {
    Row row;
    std::tie(row.group, row.name) = split(tensor.name);
    row.type = name_of(tensor.dtype);
    for (int axis = 0; axis < tensor.shape.rank(); ++axis)
      row.extents.push_back(static_cast<std::uint64_t>(tensor.shape[axis]));
    row.bytes = tensor.bytes;
    contents.add(std::move(row));
    if (tensor.name.starts_with(kModelRoot))
      contents.counts.add(tensor.name.substr(kModelRoot.size()), tensor.shape.count());
  }
  for (const std::string& name : reader.attribute_names()) {
    Row row;
    std::tie(row.group, row.name) = split(name);
    row.value = value_text(reader.attribute(name));
    contents.add(std::move(row));
  }
  return contents;
}

Contents contents_of(const std::vector<io::h5::Node>& nodes) {
  Contents contents;
  for (const io::h5::Node& node : nodes) {
    if (node.kind == io::h5::Node::Kind::group) continue;
    Row row;
    std::tie(row.group, row.name) = split(node.path);
    row.type = node.type;
    row.extents = node.extents;
    row.bytes = node.bytes;
    contents.add(std::move(row));
  }
  return contents;
}

void print_tree(const Contents& contents) {
  std::map<std::string, std::vector<const Row*>> groups;
  std::size_t widest = 0;
  for (const Row& row : contents.rows) {
    groups[row.group].push_back(&row);
    widest = std::max(widest, row.name.size());
  }
  for (const auto& [group, rows] : groups) {
    std::uint64_t bytes = 0;
    for (const Row* row : rows) bytes += row->bytes;
    fmt::print("{}  {} entries, {}\n", printable(group), rows.size(), bytes_text(static_cast<double>(bytes)));
    for (const Row* row : rows) {
      const std::string name = printable(row->name);
      const std::string shape = fmt::format("[{}]", fmt::join(row->extents, ", "));
      if (row->type.empty()) {
        fmt::print("  {:<{}}  = {}\n", name, widest, printable(row->value));
      } else {
        fmt::print("  {:<{}}  {:<5} {:<20} {:>11}\n", name, widest, row->type, shape,
                   bytes_text(static_cast<double>(row->bytes)));
      }
    }
  }
}

void print_counts(const io::ParameterCounts& counts) {
  fmt::print("parameters  {}\n", with_commas(counts.total()));
  for (const auto& [kind, count] : counts.by_kind())
    fmt::print("  {:<14} {:>20}\n", kind, with_commas(count));
}

json rows_json(const Contents& contents) {
  json tensors = json::array();
  for (const Row& row : contents.rows) {
    if (row.type.empty()) continue;
    const std::string path = (row.group == "/" ? "" : row.group) + "/" + row.name;
    tensors.push_back({{"name", path}, {"dtype", row.type}, {"shape", row.extents}, {"bytes", row.bytes}});
  }
  return tensors;
}

json values_json(const io::CheckpointReader& reader) {
  json values = json::object();
  for (const std::string& name : reader.attribute_names()) {
    std::visit([&](const auto& value) { values[name] = value; }, reader.attribute(name));
  }
  return values;
}

json counts_json(const io::ParameterCounts& counts) {
  json object = {{"total", counts.total()}};
  for (const auto& [kind, count] : counts.by_kind()) object[kind] = count;
  return object;
}

void print_json(const json& object) {
  fmt::print("{}\n", object.dump(2, ' ', false, json::error_handler_t::replace));
}

/// What was opened, and how far its bytes were compared with the manifest.
struct Opened {
  io::CheckpointReader reader;
  std::vector<io::Skipped> skipped;
  io::Check check;
};

void show_json(const Opened& opened) {
  const io::CheckpointReader& reader = opened.reader;
  const Contents contents = contents_of(reader);
  json skipped = json::array();
  for (const auto& [path, why] : opened.skipped) skipped.push_back({{"path", path}, {"why", why}});
  print_json({{"path", reader.folder()},
              {"step", reader.step()},
              {"tokens_seen", reader.tokens_seen()},
              {"format_version", io::kCheckpointFormat},
              {"layout", reader.layout()},
              {"creator", reader.creator()},
              {"bytes", contents.bytes},
              {"verified", opened.check == io::Check::everything ? "everything" : "structure"},
              {"parameters", counts_json(contents.counts)},
              {"values", values_json(reader)},
              {"tensors", rows_json(contents)},
              {"skipped", skipped}});
}

void show_text(const Opened& opened) {
  const io::CheckpointReader& reader = opened.reader;
  const Contents contents = contents_of(reader);
  for (const auto& [path, why] : opened.skipped) fmt::print("skipped {}: {}\n", path, why);
  fmt::print("{}\n  step {}, {} tokens seen, {} in {} tensors\n  layout: {}\n  written by {}\n  {}\n",
             reader.folder(), reader.step(), with_commas(reader.tokens_seen()),
             bytes_text(static_cast<double>(contents.bytes)), reader.tensors().size(),
             printable(reader.layout()), printable(reader.creator()),
             opened.check == io::Check::everything ? "verified: every byte has its digest"
                                                   : "verified: structure only (--verify reads every byte)");
  print_tree(contents);
  print_counts(contents.counts);
}

/// An HDF5 file that no manifest beside it vouches for.
bool is_foreign(const std::string& path) {
  if (!fs::is_regular_file(path)) return false;
  const fs::path folder = fs::path(path).parent_path();
  if (!fs::exists(folder / io::kManifestFile)) return true;
  const auto manifest = io::read_manifest(folder.empty() ? "." : folder.string());
  const std::string name = fs::path(path).filename().string();
  return std::none_of(manifest.files.begin(), manifest.files.end(),
                      [&](const auto& file) { return file.name == name; });
}

int show_foreign(const Options& options) {
  CARAVAN_CHECK(!options.job && !options.verify, ConfigError,
                fmt::format("{} has no {} beside it (--job and --verify need a checkpoint of caravan)",
                            options.path, io::kManifestFile));
  const Contents contents = contents_of(io::h5::isolated_walk(options.path));
  if (options.json) {
    print_json({{"path", options.path},
                {"bytes", contents.bytes},
                {"verified", "nothing"},
                {"tensors", rows_json(contents)}});
    return 0;
  }
  fmt::print("{}\n  no checkpoint of caravan (no {} beside it): nothing is verified\n", options.path,
             io::kManifestFile);
  print_tree(contents);
  return 0;
}

Opened open(const Options& options) {
  io::ModelPath model = io::resolve_model_path(options.path);
  CARAVAN_CHECK(model.kind == io::ModelPath::Kind::checkpoint, ConfigError,
                fmt::format("{} is no HDF5 checkpoint (inspect looks into nothing else)", options.path));
  // To find a run's newest, all of it was read already.
  const bool from_run = fs::is_directory(options.path) && model.path != options.path;
  const io::Check check = options.verify || from_run ? io::Check::everything : io::Check::structure;
  auto reader =
      io::CheckpointReader::open(model.path, options.verify ? io::Check::everything : io::Check::structure);
  return {std::move(reader), std::move(model.skipped), check};
}

int inspect(const Options& options) {
  CARAVAN_CHECK(fs::exists(options.path), IoError, fmt::format("{} does not exist", options.path));
  if (is_foreign(options.path)) return show_foreign(options);
  const Opened opened = open(options);
  if (options.job) {
    fmt::print("{}", opened.reader.job_yaml());
  } else if (options.json) {
    show_json(opened);
  } else {
    show_text(opened);
  }
  return 0;
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("path", options->path,
                 "A run (its newest checkpoint), a checkpoint's folder, or an HDF5 file")
      ->required();
  CLI::Option* as_json = app.add_flag("--json", options->json, "One JSON object");
  app.add_flag("--job", options->job, "Print only the resolved job that wrote it")->excludes(as_json);
  app.add_flag("--verify", options->verify, "Compare every byte with the digests of the manifest");
  return [options] { return inspect(*options); };
}

}  // namespace

extern const Command inspect_command{
    "inspect", "Look into HDF5 checkpoints: tensors, parameters, job, integrity", &declare};

}  // namespace caravan::jobs
