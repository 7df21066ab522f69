#include "io/safetensors/reader.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "io/files/read_place.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kLengthBytes = 8;

std::uint64_t header_bytes(const File& file, std::uint64_t size) {
  CARAVAN_CHECK(
      size >= kLengthBytes, IoError,
      fmt::format("{} has {} bytes (a safetensors file has at least 8: truncated?)", file.path(), size));
  std::uint64_t length = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  CARAVAN_CHECK(length <= kMostHeaderBytes, IoError,
                fmt::format("{} claims a header of {} bytes (at most {}; is it a safetensors file?)",
                            file.path(), length, kMostHeaderBytes));
  CARAVAN_CHECK(length <= size - kLengthBytes, IoError,
                fmt::format("{} claims a header of {} bytes but has {} after the length (truncated?)",
                            file.path(), length, size - kLengthBytes));
  return length;
}

template <class T>
void widen(std::span<const std::byte> from, std::span<std::int64_t> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    T value;
    std::memcpy(&value, from.data() + i * sizeof(T), sizeof(T));
    to[i] = static_cast<std::int64_t>(value);
  }
}

using Widen = void (*)(std::span<const std::byte>, std::span<std::int64_t>);

Widen find_widen(std::string_view element) {
  if (element == "I64") return widen<std::int64_t>;
  if (element == "I32") return widen<std::int32_t>;
  if (element == "I16") return widen<std::int16_t>;
  if (element == "I8") return widen<std::int8_t>;
  if (element == "U32") return widen<std::uint32_t>;
  if (element == "U16") return widen<std::uint16_t>;
  if (element == "U8" || element == "BOOL") return widen<std::uint8_t>;
  return nullptr;
}

void check_count(const SafetensorsInfo& info, std::size_t given) {
  CARAVAN_CHECK(
      info.count() == given, IoError,
      fmt::format("tensor '{}' has {} elements ({} were asked for)", info.name, info.count(), given));
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path, O_RDONLY) {
  const std::uint64_t size = file_.size(), length = header_bytes(file_, size);
  data_start_ = kLengthBytes + length;
  std::string json(length, '\0');
  file_.read_at(kLengthBytes, std::as_writable_bytes(std::span(json)));
  header_ = parse_safetensors_header(json, size - data_start_, path);
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const SafetensorsInfo& info : header_.tensors) names.push_back(info.name);
  return names;
}

bool SafetensorsFile::has(std::string_view name) const noexcept {
  return index_.find(name) != index_.end();
}

const SafetensorsInfo& SafetensorsFile::info(std::string_view name) const {
  const auto found = index_.find(name);
  CARAVAN_CHECK(found != index_.end(), IoError, fmt::format("{} has no tensor '{}'", path(), name));
  return header_.tensors[found->second];
}

std::vector<std::byte> SafetensorsFile::raw(std::string_view name) const {
  const SafetensorsInfo& found = info(name);
  std::vector<std::byte> bytes(found.bytes());
  file_.read_at(data_start_ + found.begin, bytes);
  return bytes;
}

TensorView SafetensorsFile::place(std::string_view name) const {
  const SafetensorsInfo& found = info(name);
  return TensorView(reinterpret_cast<void*>(data_start_ + found.begin), found.dtype(), found.shape());
}

void SafetensorsFile::read_place(const TensorView& place, const TensorView& to, int threads) const {
  io::read_place(file_, place, to, threads);
}

void SafetensorsFile::read_as_f32(std::string_view name, std::span<float> to) const {
  const SafetensorsInfo& found = info(name);
  check_count(found, to.size());
  const Shape flat{static_cast<std::int64_t>(to.size())};
  const TensorView place(reinterpret_cast<void*>(data_start_ + found.begin), found.dtype(), flat);
  read_place(place, TensorView(to.data(), DType::f32, flat));
}

std::vector<float> SafetensorsFile::read_as_f32(std::string_view name) const {
  std::vector<float> values(info(name).count());
  read_as_f32(name, values);
  return values;
}

void SafetensorsFile::read_as_i64(std::string_view name, std::span<std::int64_t> to) const {
  const SafetensorsInfo& found = info(name);
  check_count(found, to.size());
  const Widen convert = find_widen(found.element->name);
  CARAVAN_CHECK(convert, IoError,
                fmt::format("tensor '{}' of {} cannot be read as whole numbers", name, found.element->name));
  convert(raw(name), to);
}

std::vector<std::int64_t> SafetensorsFile::read_as_i64(std::string_view name) const {
  std::vector<std::int64_t> values(info(name).count());
  read_as_i64(name, values);
  return values;
}

}  // namespace caravan::io
