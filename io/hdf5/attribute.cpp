#include "io/hdf5/attribute.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <memory>

namespace caravan::io::h5 {
namespace {

constexpr std::size_t kMostTextBytes = std::size_t{16} << 20;

/// Of any length: HDF5 keeps it outside the object's header, which holds 64 KB at most.
Handle text_type() {
  Handle type(checked(H5Tcopy(H5T_C_S1), "make", "a text type"), H5Tclose);
  check(H5Tset_size(type, H5T_VARIABLE), "set", "the text's length");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "set", "the text's encoding");
  return type;
}

Handle open_group(const H5File& file, const std::string& group) {
  return Handle(checked(H5Oopen(file.id(), group.c_str(), H5P_DEFAULT), "open group", group), H5Oclose);
}

Handle open_or_make_group(const H5File& file, const std::string& group) {
  if (group == "/" || H5Lexists(file.id(), group.c_str(), H5P_DEFAULT) > 0) return open_group(file, group);
  return Handle(checked(H5Gcreate2(file.id(), group.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                        "create group", group),
                H5Gclose);
}

void write_as(hid_t group, const std::string& name, hid_t type, const void* data) {
  const Handle space(checked(H5Screate(H5S_SCALAR), "make", "a scalar space"), H5Sclose);
  Handle attribute(checked(H5Acreate2(group, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                           "create attribute", name),
                   H5Aclose);
  check(H5Awrite(attribute, type, data), "write attribute", name);
  attribute.close(name);
}

std::string read_text_value(hid_t attribute, hid_t type, const std::string& name) {
  if (H5Tis_variable_str(type) <= 0) {
    const std::size_t bytes = H5Tget_size(type);
    CARAVAN_CHECK(bytes <= kMostTextBytes, IoError,
                  fmt::format("attribute {} has {} bytes (too long)", name, bytes));
    std::string text(bytes, '\0');
    check(H5Aread(attribute, type, text.data()), "read attribute", name);
    return text.c_str();
  }
  char* raw = nullptr;
  check(H5Aread(attribute, type, &raw), "read attribute", name);
  const std::unique_ptr<char, herr_t (*)(void*)> owned(raw, H5free_memory);
  return raw ? raw : "";
}

}  // namespace

void write_attribute(const H5File& file, const std::string& group, const std::string& name,
                     const AttributeValue& value) {
  const Guard guard;
  const Handle object = open_or_make_group(file, group);
  if (const auto* number = std::get_if<std::int64_t>(&value))
    return write_as(object, name, H5T_STD_I64LE, number);
  if (const auto* real = std::get_if<double>(&value)) return write_as(object, name, H5T_IEEE_F64LE, real);
  const auto& text = std::get<std::string>(value);
  CARAVAN_CHECK(text.find('\0') == std::string::npos && text.size() <= kMostTextBytes, IoError,
                fmt::format("attribute {} cannot be stored as text ({} bytes, with a zero byte or too long)",
                            name, text.size()));
  const char* raw = text.c_str();
  write_as(object, name, text_type(), &raw);
}

AttributeValue read_attribute(const H5File& file, const std::string& group, const std::string& name) {
  const Guard guard;
  const Handle object = open_group(file, group);
  const Handle attribute(checked(H5Aopen(object, name.c_str(), H5P_DEFAULT), "open attribute", name),
                         H5Aclose);
  const Handle type(checked(H5Aget_type(attribute), "read the type of", name), H5Tclose);
  const Handle space(checked(H5Aget_space(attribute), "read the shape of", name), H5Sclose);
  CARAVAN_CHECK(H5Sget_simple_extent_npoints(space) == 1, IoError,
                fmt::format("attribute {} is not a scalar", name));
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_STRING) return read_text_value(attribute, type, name);
  if (kind == H5T_INTEGER) {
    std::int64_t number = 0;
    check(H5Aread(attribute, H5T_NATIVE_INT64, &number), "read attribute", name);
    return number;
  }
  CARAVAN_CHECK(kind == H5T_FLOAT, IoError, fmt::format("attribute {} is neither a number nor text", name));
  double real = 0;
  check(H5Aread(attribute, H5T_NATIVE_DOUBLE, &real), "read attribute", name);
  return real;
}

bool has_attribute(const H5File& file, const std::string& group, const std::string& name) {
  const Guard guard;
  if (group != "/" && H5Lexists(file.id(), group.c_str(), H5P_DEFAULT) <= 0) return false;
  return H5Aexists_by_name(file.id(), group.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

}  // namespace caravan::io::h5
