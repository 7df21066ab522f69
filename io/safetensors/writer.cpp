#include "io/safetensors/writer.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <span>

#include "io/files/pack.hpp"
#include "io/files/pending_file.hpp"
#include "io/safetensors/header.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string little_endian(std::uint64_t value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

json extents_of(const Shape& shape) {
  json extents = json::array();
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
  return extents;
}

}  // namespace

void SafetensorsWriter::add(const std::string& name, const TensorView& view) {
  add(name, view.dtype, view.shape, nullptr);
  entries_.back().view = view;
}

void SafetensorsWriter::add(const std::string& name, DType dtype, const Shape& shape, Fill fill) {
  check_tensor_name(name, path_);
  const bool taken =
      std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
  CARAVAN_CHECK(!taken, IoError, fmt::format("{}: tensor '{}' was added twice", path_, name));
  entries_.push_back({name, dtype, shape, {}, std::move(fill)});
}

std::string SafetensorsWriter::header() const {
  json object = json::object();
  if (!metadata_.empty()) object["__metadata__"] = metadata_;
  std::uint64_t offset = 0;
  for (const Entry& entry : entries_) {
    const std::uint64_t end = offset + entry.bytes();
    object[entry.name] = {{"dtype", element_of(entry.dtype).name},
                          {"shape", extents_of(entry.shape)},
                          {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = object.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data start aligned, so that readers may map them
  CARAVAN_CHECK(
      text.size() <= kMostHeaderBytes, IoError,
      fmt::format("{} would have a header of {} bytes (at most {})", path_, text.size(), kMostHeaderBytes));
  return text;
}

void SafetensorsWriter::commit() {
  // Wide elements first: every tensor then starts aligned to its element. The reference implementation does
  // the same.
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::pair(size_of(b.dtype), std::string_view(a.name)) <
           std::pair(size_of(a.dtype), std::string_view(b.name));
  });
  const std::string json_header = header();
  std::uint64_t total = 8 + json_header.size();
  for (const Entry& entry : entries_) total += entry.bytes();
  PendingFile file(path_);
  file.reserve(total);
  file.write(as_bytes(little_endian(json_header.size())));
  file.write(as_bytes(json_header));
  std::vector<std::byte> filled;
  for (const Entry& entry : entries_) {
    TensorView view = entry.view;
    if (entry.fill) {
      filled.resize(entry.bytes());
      view = TensorView(filled.data(), entry.dtype, entry.shape);
      entry.fill(view);
    }
    for_each_packed(view, [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  file.commit();
}

}  // namespace caravan::io
