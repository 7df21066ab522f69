#include "io/checkpoint/manifest.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <span>

#include "io/checkpoint/layout.hpp"
#include "io/files/digest.hpp"
#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostManifestBytes = 256'000'000;

std::string digest_of(const std::string& text) {
  return digest_text(std::as_bytes(std::span(text)));
}

json to_json(const TensorRecord& tensor) {
  json extents = json::array();
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) extents.push_back(tensor.shape[axis]);
  return {{"name", tensor.name},     {"dtype", name_of(tensor.dtype)}, {"shape", extents},
          {"offset", tensor.offset}, {"bytes", tensor.bytes},          {"xxh3", tensor.digest}};
}

json to_json(const FileRecord& file) {
  json tensors = json::array();
  for (const TensorRecord& tensor : file.tensors) tensors.push_back(to_json(tensor));
  return {
      {"name", file.name}, {"bytes", file.bytes}, {"structure_xxh3", file.structure}, {"tensors", tensors}};
}

json to_json(const Manifest& manifest) {
  json files = json::array();
  for (const FileRecord& file : manifest.files) files.push_back(to_json(file));
  return {{"format_version", kCheckpointFormat}, {"step", manifest.step},
          {"tokens_seen", manifest.tokens_seen}, {"layout", manifest.layout},
          {"creator", manifest.creator},         {"files", files}};
}

DType dtype_named(const std::string& name) {
  for (DType type : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8}) {
    if (name_of(type) == name) return type;
  }
  throw IoError(fmt::format("unknown dtype '{}'", name));
}

TensorRecord tensor_from(const json& object) {
  TensorRecord tensor;
  tensor.name = object.at("name").get<std::string>();
  check_object_name(tensor.name);
  tensor.dtype = dtype_named(object.at("dtype").get<std::string>());
  for (const json& extent : object.at("shape")) tensor.shape.append(extent.get<std::int64_t>());
  tensor.offset = object.at("offset").get<std::uint64_t>();
  tensor.bytes = object.at("bytes").get<std::uint64_t>();
  tensor.digest = object.at("xxh3").get<std::string>();
  CARAVAN_CHECK(TensorView(nullptr, tensor.dtype, tensor.shape).bytes() == tensor.bytes, IoError,
                fmt::format("{} has {} bytes, which its shape {} contradicts", tensor.name, tensor.bytes,
                            to_string(tensor.shape)));
  return tensor;
}

FileRecord file_from(const json& object) {
  FileRecord file;
  file.name = object.at("name").get<std::string>();
  CARAVAN_CHECK(file.name.find('/') == std::string::npos && file.name.ends_with(".h5"), IoError,
                fmt::format("'{}' is not the name of an HDF5 file in the same folder", file.name));
  file.bytes = object.at("bytes").get<std::uint64_t>();
  file.structure = object.at("structure_xxh3").get<std::string>();
  for (const json& tensor : object.at("tensors")) file.tensors.push_back(tensor_from(tensor));
  return file;
}

Manifest manifest_from(const json& object, const std::string& path) {
  const auto version = object.at("format_version").get<std::int64_t>();
  CARAVAN_CHECK(version >= 1 && version <= kCheckpointFormat, IoError,
                fmt::format("{} has format version {} (this caravan reads up to {}). Use a newer caravan?",
                            path, version, kCheckpointFormat));
  Manifest manifest;
  manifest.step = object.at("step").get<std::int64_t>();
  manifest.tokens_seen = object.at("tokens_seen").get<std::int64_t>();
  manifest.layout = object.at("layout").get<std::string>();
  manifest.creator = object.at("creator").get<std::string>();
  for (const json& file : object.at("files")) manifest.files.push_back(file_from(file));
  CARAVAN_CHECK(!manifest.files.empty(), IoError, fmt::format("{} lists no file", path));
  return manifest;
}

}  // namespace

std::vector<Region> regions_of(const FileRecord& file) {
  std::vector<Region> tensors;
  for (const TensorRecord& tensor : file.tensors) {
    if (tensor.bytes == 0) continue;
    CARAVAN_CHECK(tensor.offset <= file.bytes && tensor.bytes <= file.bytes - tensor.offset, IoError,
                  fmt::format("{} ends behind {}, which has {} bytes", tensor.name, file.name, file.bytes));
    tensors.push_back({tensor.offset, tensor.offset + tensor.bytes, &tensor});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const Region& a, const Region& b) { return a.begin < b.begin; });
  std::vector<Region> all;
  std::uint64_t next = 0;
  for (const Region& region : tensors) {
    CARAVAN_CHECK(region.begin >= next, IoError,
                  fmt::format("{} overlaps the tensor before it", region.tensor->name));
    if (region.begin > next) all.push_back({next, region.begin, nullptr});
    all.push_back(region);
    next = region.end;
  }
  if (next < file.bytes) all.push_back({next, file.bytes, nullptr});
  return all;
}

void write_manifest(const std::string& folder, const Manifest& manifest) {
  const json body = to_json(manifest);
  const std::string text = json{{"manifest", body}, {"xxh3", digest_of(body.dump())}}.dump(1) + "\n";
  File file((std::filesystem::path(folder) / kManifestFile).string(), O_WRONLY | O_CREAT | O_EXCL);
  file.write(std::as_bytes(std::span(text)));
  file.sync();
}

Manifest read_manifest(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / kManifestFile).string();
  CARAVAN_CHECK(
      std::filesystem::exists(path), IoError,
      fmt::format("{} has no {} (incomplete, or not a checkpoint of caravan)", folder, kManifestFile));
  const json whole = parse_json_strict(read_text(path, kMostManifestBytes), path);
  try {
    const json& body = whole.at("manifest");
    CARAVAN_CHECK(digest_of(body.dump()) == whole.at("xxh3").get<std::string>(), IoError,
                  fmt::format("{} does not have the digest that it carries (damaged)", path));
    return manifest_from(body, path);
  } catch (const IoError&) {
    throw;
  } catch (const std::exception& problem) {
    throw IoError(fmt::format("{} is malformed ({})", path, problem.what()));
  }
}

}  // namespace caravan::io
