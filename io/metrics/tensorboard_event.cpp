#include "io/metrics/tensorboard_event.hpp"

#include <bit>
#include <cstring>

#include "io/metrics/crc32c.hpp"

namespace caravan::io {
namespace {

static_assert(std::endian::native == std::endian::little, "protobuf and record files are little-endian");

template <class T>
void append_raw(std::string& to, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}

void append_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<char>(value | 0x80));
  to.push_back(static_cast<char>(value));
}

enum class Wire : std::uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_tag(std::string& to, std::uint64_t field, Wire wire) {
  append_varint(to, (field << 3) | static_cast<std::uint64_t>(wire));
}

void append_bytes(std::string& to, std::uint64_t field, std::string_view data) {
  append_tag(to, field, Wire::bytes);
  append_varint(to, data.size());
  to += data;
}

std::string event(double wall_time_s, std::int64_t step) {
  std::string message;
  append_tag(message, 1, Wire::fixed64);
  append_raw(message, wall_time_s);
  append_tag(message, 2, Wire::varint);
  append_varint(message, static_cast<std::uint64_t>(step));
  return message;
}

std::string scalar(std::string_view key, const MetricValue& value) {
  std::string message;
  append_bytes(message, 1, key);
  append_tag(message, 2, Wire::fixed32);
  append_raw(message, std::visit([](auto number) { return static_cast<float>(number); }, value));
  return message;
}

}  // namespace

std::string file_version_event(double wall_time_s) {
  std::string message = event(wall_time_s, 0);
  append_bytes(message, 3, "brain.Event:2");
  return message;
}

std::string session_start_event(double wall_time_s, std::int64_t first_step) {
  std::string start;
  append_tag(start, 1, Wire::varint);
  append_varint(start, 1);
  std::string message = event(wall_time_s, first_step);
  append_bytes(message, 7, start);
  return message;
}

std::string scalars_event(double wall_time_s, const StepRecord& record) {
  std::string summary;
  for (const auto& [key, value] : record.values()) append_bytes(summary, 1, scalar(key, value));
  std::string message = event(wall_time_s, record.step);
  append_bytes(message, 5, summary);
  return message;
}

std::string framed_record(std::string_view data) {
  std::string record;
  append_raw(record, static_cast<std::uint64_t>(data.size()));
  append_raw(record, masked_crc32c(record));
  record += data;
  append_raw(record, masked_crc32c(data));
  return record;
}

}  // namespace caravan::io
