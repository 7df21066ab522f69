#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace caravan::test {

/// CRC-32C by the definition, bit for bit: shares nothing with the code under test.
inline std::uint32_t slow_crc32c(const std::string& bytes) {
  std::uint32_t rest = ~0u;
  for (unsigned char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool out = ((rest ^ (byte >> bit)) & 1) != 0;
      rest >>= 1;
      if (out) rest ^= 0x82F63B78u;
    }
  }
  return ~rest;
}

inline std::uint32_t slow_mask(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/// Fields of one protobuf message: numbers for varint, fixed32 and fixed64 (raw bits), text for bytes.
struct Message {
  std::multimap<int, std::uint64_t> numbers;
  std::multimap<int, std::string> texts;

  explicit Message(const std::string& data) {
    std::size_t at = 0;
    while (at < data.size()) {
      const std::uint64_t tag = varint(data, at);
      const int field = static_cast<int>(tag >> 3);
      switch (tag & 7) {
        case 0:
          numbers.emplace(field, varint(data, at));
          break;
        case 1:
          numbers.emplace(field, fixed(data, at, 8));
          break;
        case 2: {
          const std::uint64_t size = varint(data, at);
          texts.emplace(field, data.substr(at, size));
          at += size;
          break;
        }
        case 5:
          numbers.emplace(field, fixed(data, at, 4));
          break;
        default:
          throw std::runtime_error("unknown wire type");
      }
    }
  }

 private:
  static std::uint64_t varint(const std::string& data, std::size_t& at) {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(data.at(at++));
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  static std::uint64_t fixed(const std::string& data, std::size_t& at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(data.at(at++))) << (8 * i);
    }
    return value;
  }
};

/// The records of an event file; throws when a length or a checksum is wrong.
inline std::vector<std::string> read_records(const std::string& file) {
  std::vector<std::string> records;
  for (std::size_t at = 0; at < file.size();) {
    std::uint64_t size = 0;
    std::uint32_t size_crc = 0, data_crc = 0;
    std::memcpy(&size, file.substr(at, 8).data(), 8);
    std::memcpy(&size_crc, file.substr(at + 8, 4).data(), 4);
    if (size_crc != slow_mask(slow_crc32c(file.substr(at, 8))))
      throw std::runtime_error("checksum of a length");
    records.push_back(file.substr(at + 12, size));
    std::memcpy(&data_crc, file.substr(at + 12 + size, 4).data(), 4);
    if (data_crc != slow_mask(slow_crc32c(records.back()))) throw std::runtime_error("checksum of a record");
    at += 16 + size;
  }
  return records;
}

}  // namespace caravan::test
