#include "io/hdf5/element_type.hpp"

namespace caravan::io::h5 {
namespace {

struct FloatFields {
  std::size_t exponent_bits, mantissa_bits, bias;
};

/// A 16-bit float: mantissa from bit 0, exponent above it, sign on top.
Handle small_float(const FloatFields& fields) {
  Handle type(checked(H5Tcopy(H5T_IEEE_F32LE), "make", "a 16-bit float type"), H5Tclose);
  check(H5Tset_fields(type, 15, fields.mantissa_bits, fields.exponent_bits, 0, fields.mantissa_bits), "set",
        "the fields");
  check(H5Tset_precision(type, 16), "set", "the precision");
  check(H5Tset_ebias(type, fields.bias), "set", "the exponent's bias");
  check(H5Tset_size(type, 2), "set", "the size");
  return type;
}

Handle copy_of(hid_t standard) {
  return Handle(checked(H5Tcopy(standard), "copy", "a type"), H5Tclose);
}

}  // namespace

Handle element_type(DType type) {
  start();
  switch (type) {
    case DType::f32:
      return copy_of(H5T_IEEE_F32LE);
    case DType::f64:
      return copy_of(H5T_IEEE_F64LE);
    case DType::bf16:
      return small_float({8, 7, 127});
    case DType::f16:
      return small_float({5, 10, 15});
    case DType::i32:
      return copy_of(H5T_STD_I32LE);
    case DType::i64:
      return copy_of(H5T_STD_I64LE);
    case DType::u8:
      break;
  }
  return copy_of(H5T_STD_U8LE);
}

std::optional<DType> dtype_of_element(hid_t type) {
  for (DType candidate :
       {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8}) {
    if (H5Tequal(type, element_type(candidate)) > 0) return candidate;
  }
  return std::nullopt;
}

}  // namespace caravan::io::h5
