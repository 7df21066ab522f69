#include "io/safetensors/header.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>

#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr std::size_t kMostAxes = 64;
constexpr std::size_t kMostNameBytes = 1024;

/// Shared by the checks of one tensor, so that every message starts alike.
struct Where {
  const std::string& path;
  const std::string& name;
  std::string operator()(std::string_view problem) const {
    return fmt::format("{}: tensor '{}' {}", path, name, problem);
  }
};

std::uint64_t read_unsigned(const json& value, const Where& where, std::string_view field) {
  CARAVAN_CHECK(value.is_number_unsigned() && is_int64(value), IoError,
                where(fmt::format("has {} that is not a whole number from 0", field)));
  return value.get<std::uint64_t>();
}

const json& member(const json& object, const char* key, const Where& where) {
  const auto found = object.find(key);
  CARAVAN_CHECK(found != object.end(), IoError, where(fmt::format("lacks '{}'", key)));
  return *found;
}

std::vector<std::int64_t> read_extents(const json& shape, const Where& where) {
  CARAVAN_CHECK(shape.is_array() && shape.size() <= kMostAxes, IoError,
                where(fmt::format("has no list of at most {} extents as shape", kMostAxes)));
  std::vector<std::int64_t> extents;
  for (const json& extent : shape) {
    extents.push_back(static_cast<std::int64_t>(read_unsigned(extent, where, "an extent")));
  }
  return extents;
}

std::uint64_t needed_bytes(const SafetensorsInfo& info, const Where& where) {
  std::uint64_t bytes = info.element->bytes;
  for (std::int64_t extent : info.extents) {
    CARAVAN_CHECK(!__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes), IoError,
                  where(fmt::format("has shape [{}] of {} (its size overflows 64 bits)",
                                    fmt::join(info.extents, ", "), info.element->name)));
  }
  return bytes;
}

SafetensorsInfo read_info(const std::string& name, const json& object, const std::string& path) {
  const Where where{path, name};
  CARAVAN_CHECK(object.is_object(), IoError, where("is not described by an object"));
  CARAVAN_CHECK(object.size() <= 3, IoError, where("has keys besides dtype, shape and data_offsets"));
  SafetensorsInfo info;
  info.name = name;
  info.file = path;
  const json& type = member(object, "dtype", where);
  info.element = type.is_string() ? find_element(type.get_ref<const std::string&>()) : nullptr;
  CARAVAN_CHECK(info.element, IoError,
                where(fmt::format("has the unknown dtype {}", type.dump(-1, ' ', true))));
  info.extents = read_extents(member(object, "shape", where), where);
  const json& offsets = member(object, "data_offsets", where);
  CARAVAN_CHECK(offsets.is_array() && offsets.size() == 2, IoError, where("has no pair of data_offsets"));
  info.begin = read_unsigned(offsets[0], where, "an offset");
  info.end = read_unsigned(offsets[1], where, "an offset");
  CARAVAN_CHECK(info.begin <= info.end, IoError,
                where(fmt::format("ends at byte {} before it begins at {}", info.end, info.begin)));
  const std::uint64_t needed = needed_bytes(info, where);
  CARAVAN_CHECK(needed == info.bytes(), IoError,
                where(fmt::format("has {} bytes, but shape [{}] of {} needs {}", info.bytes(),
                                  fmt::join(info.extents, ", "), info.element->name, needed)));
  return info;
}

void read_metadata(const json& object, const std::string& path, SafetensorsHeader& header) {
  CARAVAN_CHECK(object.is_object(), IoError, fmt::format("{}: __metadata__ is not an object", path));
  for (const auto& [key, value] : object.items()) {
    CARAVAN_CHECK(value.is_string(), IoError,
                  fmt::format("{}: __metadata__ holds something that is not text", path));
    header.metadata.emplace(key, value.get<std::string>());
  }
}

/// The format's rule: sorted by offset, tensors follow each other without gap or overlap and end with the
/// file.
void check_cover(const std::vector<SafetensorsInfo>& tensors, std::uint64_t data_bytes,
                 const std::string& path) {
  std::uint64_t next = 0;
  for (const SafetensorsInfo& info : tensors) {
    const Where where{path, info.name};
    CARAVAN_CHECK(info.end <= data_bytes, IoError,
                  where(fmt::format("ends at byte {} of the data (the file has {}: truncated?)", info.end,
                                    data_bytes)));
    CARAVAN_CHECK(info.begin >= next, IoError,
                  where(fmt::format("begins at byte {} inside the tensor before it, which ends at {}",
                                    info.begin, next)));
    CARAVAN_CHECK(info.begin == next, IoError,
                  where(fmt::format("begins at byte {} after a hole that starts at {}", info.begin, next)));
    next = info.end;
  }
  CARAVAN_CHECK(
      next == data_bytes, IoError,
      fmt::format("{} has {} bytes after its last tensor (holes are not allowed)", path, data_bytes - next));
}

}  // namespace

void check_tensor_name(const std::string& name, const std::string& path) {
  CARAVAN_CHECK(!name.empty() && name.size() <= kMostNameBytes, IoError,
                fmt::format("{}: a tensor's name has {} bytes (1 to {} are allowed)", path, name.size(),
                            kMostNameBytes));
  const bool printable =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F; });
  CARAVAN_CHECK(printable, IoError,
                fmt::format("{}: tensor name {} has characters outside printable ASCII", path,
                            json(name).dump(-1, ' ', true)));
}

DType SafetensorsInfo::dtype() const {
  CARAVAN_CHECK(element->dtype, IoError,
                fmt::format("{}: tensor '{}' has dtype {} (F64, F32, BF16, F16, I64, I32 and U8 are read). "
                            "Converted to one of these by what wrote it?",
                            file, name, element->name));
  return *element->dtype;
}

Shape SafetensorsInfo::shape() const {
  CARAVAN_CHECK(extents.size() <= Shape::kMaxRank, IoError,
                fmt::format("{}: tensor '{}' has {} axes (at most {} are read)", file, name, extents.size(),
                            Shape::kMaxRank));
  Shape shape;
  for (std::int64_t extent : extents) shape.append(extent);
  return shape;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           const std::string& path) {
  const json parsed = parse_json_strict(text, "the header of " + path);
  CARAVAN_CHECK(parsed.is_object(), IoError, fmt::format("the header of {} is not a JSON object", path));
  SafetensorsHeader header;
  for (const auto& [name, object] : parsed.items()) {
    if (name == "__metadata__") {
      read_metadata(object, path, header);
      continue;
    }
    check_tensor_name(name, path);
    header.tensors.push_back(read_info(name, object, path));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const SafetensorsInfo& a, const SafetensorsInfo& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  check_cover(header.tensors, data_bytes, path);
  return header;
}

}  // namespace caravan::io
