#include "io/hdf5/foreign_type.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "io/hdf5/element_type.hpp"

namespace caravan::io::h5 {
namespace {

constexpr std::size_t kMostNumberBytes = 8;

std::string class_name(H5T_class_t kind) {
  static constexpr std::array<const char*, 11> kNames{"integer",  "float",  "time",     "string",
                                                      "bitfield", "opaque", "compound", "reference",
                                                      "enum",     "vlen",   "array"};
  const auto index = static_cast<std::size_t>(kind);
  return kind >= 0 && index < kNames.size() ? kNames[index] : "unknown";
}

/// The narrowest whole number that holds `bytes`; nothing above 64 bits.
std::optional<NumberType> whole_number(std::size_t bytes, bool is_signed) {
  if (bytes == 0 || bytes > kMostNumberBytes) return std::nullopt;
  if (bytes == 1) return is_signed ? NumberType::i8 : NumberType::u8;
  if (bytes == 2) return is_signed ? NumberType::i16 : NumberType::u16;
  if (bytes <= 4) return is_signed ? NumberType::i32 : NumberType::u32;
  return is_signed ? NumberType::i64 : NumberType::u64;
}

/// One of our floats, whatever its byte order.
std::optional<NumberType> known_float(hid_t stored) {
  const Handle little(H5Tcopy(stored), H5Tclose);
  if (little < 0 || H5Tset_order(little, H5T_ORDER_LE) < 0) return std::nullopt;
  const auto dtype = dtype_of_element(little.get());
  return dtype ? std::optional(number_type_of(*dtype)) : std::nullopt;
}

std::optional<NumberType> readable_base(hid_t enumeration) {
  const Handle base(H5Tget_super(enumeration), H5Tclose);
  return base < 0 ? std::nullopt : readable_as(base);
}

bool has_member(hid_t enumeration, unsigned index, const char* name) {
  const std::unique_ptr<char, herr_t (*)(void*)> raw(H5Tget_member_name(enumeration, index), H5free_memory);
  return raw && std::string_view(raw.get()) == name;
}

std::string order_text(hid_t stored) {
  return H5Tget_size(stored) > 1 && H5Tget_order(stored) == H5T_ORDER_BE ? " be" : "";
}

/// "u16"; by its bits where they are fewer than its bytes hold.
std::string whole_number_text(hid_t stored) {
  return fmt::format("{}{}{}", H5Tget_sign(stored) == H5T_SGN_NONE ? 'u' : 'i', H5Tget_precision(stored),
                     order_text(stored));
}

std::string enumeration_text(hid_t stored) {
  if (is_truth(stored)) return "bool";
  const Handle base(H5Tget_super(stored), H5Tclose);
  return "enum " + (base < 0 ? "unknown" : type_text(base));
}

hid_t native_bits(NumberType element) {
  switch (size_of(element)) {
    case 1:
      return H5T_NATIVE_B8;
    case 2:
      return H5T_NATIVE_B16;
    case 4:
      return H5T_NATIVE_B32;
    default:
      return H5T_NATIVE_B64;
  }
}

hid_t native_number(NumberType element) {
  switch (element) {
    case NumberType::i8:
      return H5T_NATIVE_INT8;
    case NumberType::i16:
      return H5T_NATIVE_INT16;
    case NumberType::i32:
      return H5T_NATIVE_INT32;
    case NumberType::i64:
      return H5T_NATIVE_INT64;
    case NumberType::u8:
      return H5T_NATIVE_UINT8;
    case NumberType::u16:
      return H5T_NATIVE_UINT16;
    case NumberType::u32:
      return H5T_NATIVE_UINT32;
    default:
      return H5T_NATIVE_UINT64;
  }
}

}  // namespace

std::optional<NumberType> readable_as(hid_t stored) {
  switch (H5Tget_class(stored)) {
    case H5T_INTEGER:
      return whole_number(H5Tget_size(stored), H5Tget_sign(stored) != H5T_SGN_NONE);
    case H5T_BITFIELD:
      return whole_number(H5Tget_size(stored), false);
    case H5T_ENUM:
      return readable_base(stored);
    case H5T_FLOAT:
      return known_float(stored);
    default:
      return std::nullopt;
  }
}

Handle memory_type(hid_t stored, NumberType element) {
  if (is_float(element)) return element_type(*io::dtype_of_number(element));
  const bool is_bits = H5Tget_class(stored) == H5T_BITFIELD;
  const hid_t native = is_bits ? native_bits(element) : native_number(element);
  return Handle(checked(H5Tcopy(native), "copy", "a type"), H5Tclose);
}

std::string type_text(hid_t stored) {
  const H5T_class_t kind = H5Tget_class(stored);
  if (kind == H5T_INTEGER) return whole_number_text(stored);
  if (kind == H5T_ENUM) return enumeration_text(stored);
  const auto element = readable_as(stored);
  if (!element) return class_name(kind);
  if (kind == H5T_BITFIELD) return fmt::format("bits {}{}", name_of(*element), order_text(stored));
  return std::string(name_of(*element)) + order_text(stored);
}

bool is_truth(hid_t stored) {
  return H5Tget_class(stored) == H5T_ENUM && H5Tget_nmembers(stored) == 2 && has_member(stored, 0, "FALSE") &&
         has_member(stored, 1, "TRUE");
}

}  // namespace caravan::io::h5
