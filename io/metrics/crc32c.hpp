#pragma once

#include <cstdint>
#include <string_view>

namespace caravan::io {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78). Source: RFC 3720, appendix B.4.
std::uint32_t crc32c(std::string_view bytes) noexcept;

/// The form that TensorFlow's record files store: rotated right by 15 and shifted by a constant, so that a
/// checksum of bytes that contain checksums stays sound. Source: tensorflow/core/lib/hash/crc32c.h.
std::uint32_t masked_crc32c(std::string_view bytes) noexcept;

}  // namespace caravan::io
