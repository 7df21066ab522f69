#include "io/safetensors/layout.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "io/safetensors/element.hpp"
#include "io/safetensors/header.hpp"

namespace caravan::io {
namespace {

std::string little_endian(std::uint64_t value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

/// "\"name\":{\"dtype\":…}" with the keys in the order of the reference implementation, whose files come out
/// equal.
std::string entry_text(const SafetensorsEntry& tensor, std::uint64_t begin) {
  nlohmann::ordered_json entry;
  entry["dtype"] = element_of(tensor.dtype).name;
  entry["shape"] = nlohmann::ordered_json::array();
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) entry["shape"].push_back(tensor.shape[axis]);
  entry["data_offsets"] = {begin, begin + tensor.bytes()};
  return nlohmann::json(tensor.name).dump() + ":" + entry.dump();
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  return metadata.empty() ? "" : "\"__metadata__\":" + nlohmann::json(metadata).dump();
}

void check_names(std::span<const SafetensorsEntry> tensors, const std::string& path) {
  std::set<std::string_view> names;
  for (const SafetensorsEntry& tensor : tensors) {
    check_tensor_name(tensor.name, path);
    CARAVAN_CHECK(names.insert(tensor.name).second, IoError,
                  fmt::format("{}: tensor '{}' was added twice", path, tensor.name));
  }
}

}  // namespace

bool comes_before(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  return std::pair(size_of(b.dtype), std::string_view(a.name)) <
         std::pair(size_of(a.dtype), std::string_view(b.name));
}

SafetensorsLayout lay_out(std::span<const SafetensorsEntry> tensors,
                          const std::map<std::string, std::string>& metadata, const std::string& path) {
  check_names(tensors, path);
  SafetensorsLayout layout;
  std::string text = metadata_text(metadata);
  std::uint64_t bytes = 0;
  for (const SafetensorsEntry& tensor : tensors) {
    text += (text.empty() ? "" : ",") + entry_text(tensor, bytes);
    layout.begins.push_back(bytes);
    bytes += tensor.bytes();
  }
  text = "{" + text + "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data start aligned, so that readers may map them
  CARAVAN_CHECK(
      text.size() <= kMostHeaderBytes, IoError,
      fmt::format("{} would have a header of {} bytes (at most {})", path, text.size(), kMostHeaderBytes));
  layout.front = little_endian(text.size()) + text;
  for (std::uint64_t& begin : layout.begins) begin += layout.front.size();
  layout.bytes = layout.front.size() + bytes;
  return layout;
}

}  // namespace caravan::io
