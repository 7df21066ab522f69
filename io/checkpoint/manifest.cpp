#include "io/checkpoint/manifest.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/values_json.hpp"
#include "io/files/file.hpp"
#include "io/files/sealed_json.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostManifestBytes = 256'000'000;

json to_json(const Shape& shape) {
  json extents = json::array();
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
  return extents;
}

json to_json(const PieceRecord& record) {
  const TensorRecord& tensor = record.piece.tensor;
  const Box& box = record.piece.box;
  json origin = json::array(), blocks = json::array();
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) origin.push_back(box.begin(axis));
  for (const std::uint64_t block : record.blocks) blocks.push_back(digest_to_hex(block));
  return {{"name", tensor.name},  {"dtype", name_of(tensor.dtype)},  {"shape", to_json(tensor.shape)},
          {"origin", origin},     {"extents", to_json(box.extents)}, {"offset", record.offset},
          {"blocks_xxh3", blocks}};
}

json to_json(const FileRecord& file) {
  json pieces = json::array();
  for (const PieceRecord& piece : file.pieces) pieces.push_back(to_json(piece));
  return {{"name", file.name},
          {"bytes", file.bytes},
          {"structure_xxh3", digest_to_hex(file.structure)},
          {"pieces", pieces}};
}

json to_json(const Manifest& manifest) {
  json files = json::array();
  for (const FileRecord& file : manifest.files) files.push_back(to_json(file));
  return {{"format_version", kCheckpointFormat},
          {"step", manifest.step},
          {"tokens_seen", manifest.tokens_seen},
          {"layout", manifest.layout},
          {"creator", manifest.creator},
          {"generation", manifest.generation},
          {"job", manifest.job},
          {"values", values_to_json(manifest.values)},
          {"block_bytes", kBlockBytes},
          {"files", files}};
}

DType dtype_named(const std::string& name) {
  for (DType type : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8}) {
    if (name_of(type) == name) return type;
  }
  throw IoError(fmt::format("unknown dtype '{}'", name));
}

Shape shape_from(const json& list, const std::string& name) {
  Shape shape;
  for (const json& extent : list) {
    CARAVAN_CHECK(int64_of(extent) >= 0, IoError, fmt::format("{} has a negative extent", name));
    shape.append(int64_of(extent));
  }
  return shape;
}

/// Of a piece; the formats before had rows of axis 0.
Box box_from(const json& object, const TensorRecord& tensor) {
  Box box = Box::whole(tensor.shape);
  if (object.contains("row")) {
    box.origin[0] = int64_of(object.at("row"));
    const std::int64_t rows = int64_of(object.at("rows"));
    if (tensor.shape.rank() > 0) box.extents.set(0, rows);
    CARAVAN_CHECK(tensor.shape.rank() > 0 || (box.origin[0] == 0 && rows == 1), IoError,
                  fmt::format("{} has no {} rows from {} on", tensor.name, rows, box.origin[0]));
    return box;
  }
  box.extents = shape_from(object.at("extents"), tensor.name);
  const json& origin = object.at("origin");
  CARAVAN_CHECK(
      origin.size() == static_cast<std::size_t>(tensor.shape.rank()), IoError,
      fmt::format("{} has {} axes and an origin of {}", tensor.name, tensor.shape.rank(), origin.size()));
  for (std::size_t axis = 0; axis < origin.size(); ++axis) box.origin[axis] = int64_of(origin[axis]);
  return box;
}

Piece piece_from(const json& object) {
  Piece piece;
  piece.tensor.name = object.at("name").get<std::string>();
  check_object_name(piece.tensor.name);
  piece.tensor.dtype = dtype_named(object.at("dtype").get<std::string>());
  piece.tensor.shape = shape_from(object.at("shape"), piece.tensor.name);
  piece.tensor.bytes();  // refuses a shape whose size overflows
  piece.box = box_from(object, piece.tensor);
  const auto first = std::span(piece.box.origin).first(static_cast<std::size_t>(piece.tensor.shape.rank()));
  CARAVAN_CHECK(
      is_inside(piece.box, piece.tensor.shape), IoError,
      fmt::format("{} with shape {} has no box of {} from [{}] on", piece.tensor.name,
                  to_string(piece.tensor.shape), to_string(piece.box.extents), fmt::join(first, ", ")));
  return piece;
}

PieceRecord piece_record_from(const json& object) {
  PieceRecord record;
  record.piece = piece_from(object);
  record.offset = uint64_of(object.at("offset"));
  for (const json& block : object.at("blocks_xxh3")) record.blocks.push_back(digest_from(block));
  const std::uint64_t bytes = record.piece.bytes();
  CARAVAN_CHECK(record.blocks.size() == (bytes + kBlockBytes - 1) / kBlockBytes, IoError,
                fmt::format("{} has {} block digests, which its {} bytes contradict",
                            record.piece.tensor.name, record.blocks.size(), bytes));
  return record;
}

FileRecord file_from(const json& object) {
  FileRecord file;
  file.name = object.at("name").get<std::string>();
  CARAVAN_CHECK(file.name.find('/') == std::string::npos && file.name.ends_with(".h5"), IoError,
                fmt::format("'{}' is not the name of an HDF5 file in the same folder", file.name));
  file.bytes = uint64_of(object.at("bytes"));
  file.structure = digest_from(object.at("structure_xxh3"));
  for (const json& piece : object.at("pieces")) file.pieces.push_back(piece_record_from(piece));
  return file;
}

Manifest manifest_from(const json& object, const std::string& path) {
  const auto version = int64_of(object.at("format_version"));
  CARAVAN_CHECK(version >= kOldestCheckpointFormat && version <= kCheckpointFormat, IoError,
                fmt::format("{} has format version {} (this caravan reads {} to {}). Use {} caravan?", path,
                            version, kOldestCheckpointFormat, kCheckpointFormat,
                            version > kCheckpointFormat ? "a newer" : "an older"));
  CARAVAN_CHECK(uint64_of(object.at("block_bytes")) == kBlockBytes, IoError,
                fmt::format("{} has blocks of another size than {} bytes", path, kBlockBytes));
  Manifest manifest;
  manifest.format = version;
  manifest.step = checked_count(int64_of(object.at("step")), "step");
  manifest.tokens_seen = checked_count(int64_of(object.at("tokens_seen")), "tokens_seen");
  manifest.layout = object.at("layout").get<std::string>();
  manifest.creator = object.at("creator").get<std::string>();
  manifest.generation = object.at("generation").get<std::string>();
  manifest.job = object.at("job").get<std::string>();
  manifest.values = values_from(object.at("values"));
  std::set<std::string> names;
  for (const json& file : object.at("files")) {
    manifest.files.push_back(file_from(file));
    const std::string& name = manifest.files.back().name;
    CARAVAN_CHECK(names.insert(name).second, IoError, fmt::format("{} lists {} twice", path, name));
  }
  CARAVAN_CHECK(!manifest.files.empty(), IoError, fmt::format("{} lists no file", path));
  return manifest;
}

}  // namespace

std::string other_digest(const PieceRecord& record, std::size_t block) {
  const std::uint64_t begin = block * kBlockBytes, end = std::min(begin + kBlockBytes, record.piece.bytes());
  return fmt::format("bytes {} to {} of the dataset have another digest than the manifest says", begin, end);
}

std::int64_t checked_count(std::int64_t value, std::string_view what) {
  CARAVAN_CHECK(value >= 0 && value <= kMostCount, IoError,
                fmt::format("{} is {} (no run counts below 0 or above {})", what, value, kMostCount));
  return value;
}

void write_manifest(const std::string& folder, const Manifest& manifest) {
  const std::string text = well_formed(folder, [&] { return seal_json(to_json(manifest)); });
  File file((std::filesystem::path(folder) / kManifestFile).string(), O_WRONLY | O_CREAT | O_EXCL);
  file.write(std::as_bytes(std::span(text)));
  file.sync();
}

Manifest read_manifest(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / kManifestFile).string();
  CARAVAN_CHECK(
      std::filesystem::exists(path), IoError,
      fmt::format("{} has no {} (incomplete, or not a checkpoint of caravan)", folder, kManifestFile));
  const json body = read_sealed_json(path, kMostManifestBytes);
  return well_formed(path, [&] { return manifest_from(body, path); });
}

std::string to_text(const FileRecord& file) {
  return to_json(file).dump();
}

FileRecord file_record_from(const std::string& text) {
  const std::string what = "a file's record";
  const json object = parse_json_strict(text, what);
  return well_formed(what, [&] { return file_from(object); });
}

}  // namespace caravan::io
