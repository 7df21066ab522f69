#include "io/metrics/tensorboard_event.hpp"

#include <algorithm>
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

std::string summary_event(double wall_time_s, std::int64_t step, std::string_view summary) {
  std::string message = event(wall_time_s, step);
  append_bytes(message, 5, summary);
  return message;
}

/// A fence of more backquotes than stand in a row in the text.
std::string fenced(std::string_view text) {
  std::size_t longest = 0, now = 0;
  for (const char c : text) {
    now = c == '`' ? now + 1 : 0;
    longest = std::max(longest, now);
  }
  const std::string fence(std::max<std::size_t>(3, longest + 1), '`');
  return fence + "\n" + std::string(text) + "\n" + fence + "\n";
}

constexpr std::uint64_t kStringType = 7;  // DT_STRING

std::string string_tensor(std::string_view text) {
  std::string tensor;
  append_tag(tensor, 1, Wire::varint);
  append_varint(tensor, kStringType);
  append_bytes(tensor, 2, "");  // a shape without dimensions
  append_bytes(tensor, 8, text);
  return tensor;
}

/// Of the text plugin; its data class is that of tensors.
std::string text_metadata() {
  std::string plugin, metadata;
  append_bytes(plugin, 1, "text");
  append_bytes(metadata, 1, plugin);
  append_tag(metadata, 4, Wire::varint);
  append_varint(metadata, 2);  // DATA_CLASS_TENSOR
  return metadata;
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
  return summary_event(wall_time_s, record.step, summary);
}

std::string text_event(double wall_time_s, const TextRecord& record) {
  std::string value, summary;
  append_bytes(value, 1, record.name);
  append_bytes(value, 8, string_tensor(fenced(record.prompt) + "\n" + fenced(record.text)));
  append_bytes(value, 9, text_metadata());
  append_bytes(summary, 1, value);
  return summary_event(wall_time_s, record.step, summary);
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
