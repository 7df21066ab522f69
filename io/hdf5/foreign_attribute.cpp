#include "io/hdf5/foreign_attribute.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <span>

#include "io/hdf5/foreign_type.hpp"

namespace caravan::io::h5 {
namespace {

using nlohmann::json;

constexpr std::size_t kMostAttributes = 256, kMostValues = 4096, kMostNameBytes = 1024;
constexpr std::size_t kMostBytes = std::size_t{1} << 20, kMostBytesOfAll = std::size_t{4} << 20;

/// Names in order, as far as they are listed.
struct Names {
  std::vector<std::string> names;
  bool has_more = false;
};

/// Called by HDF5, through which nothing may be thrown.
herr_t take_name(hid_t, const char* name, const H5A_info_t*, void* to) noexcept {
  auto& taken = *static_cast<Names*>(to);
  taken.has_more = taken.names.size() == kMostAttributes;
  if (taken.has_more || std::strlen(name) > kMostNameBytes) return 1;
  try {
    taken.names.emplace_back(name);
    return 0;
  } catch (...) {
    return -1;
  }
}

json real_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

template <class T>
std::vector<T> read_as(hid_t attribute, hid_t type, std::size_t count, const std::string& name) {
  std::vector<T> values(count);
  check(H5Aread(attribute, type, values.data()), "read attribute", name);
  return values;
}

template <class T>
json list_of(const std::vector<T>& values) {
  json list = json::array();
  for (const T& value : values) list.push_back(value);
  return list;
}

/// The member that stands for each number, or the number where none does.
json member_names(hid_t type, const std::vector<std::int64_t>& values) {
  json list = json::array();
  const Handle base(checked(H5Tget_super(type), "read", "an enumeration"), H5Tclose);
  for (const std::int64_t value : values) {
    std::int64_t raw = value;
    std::array<char, kMostNameBytes> name{};
    const bool is_member = H5Tconvert(H5T_NATIVE_INT64, base, 1, &raw, nullptr, H5P_DEFAULT) >= 0 &&
                           H5Tenum_nameof(type, &raw, name.data(), name.size()) >= 0;
    name.back() = '\0';
    list.push_back(is_member ? json(name.data()) : json(value));
  }
  H5Eclear2(H5E_DEFAULT);
  return list;
}

json whole_numbers(hid_t attribute, hid_t type, std::size_t count, const std::string& name) {
  const NumberType element = *readable_as(type);
  if (H5Tget_class(type) == H5T_BITFIELD || element == NumberType::u64) {
    const Handle wide = memory_type(type, NumberType::u64);
    return list_of(read_as<std::uint64_t>(attribute, wide, count, name));
  }
  const auto values = read_as<std::int64_t>(attribute, H5T_NATIVE_INT64, count, name);
  if (H5Tget_class(type) != H5T_ENUM) return list_of(values);
  if (!is_truth(type)) return member_names(type, values);
  json list = json::array();
  for (const std::int64_t value : values) list.push_back(value != 0);
  return list;
}

json reals(hid_t attribute, std::size_t count, const std::string& name) {
  json list = json::array();
  for (const double value : read_as<double>(attribute, H5T_NATIVE_DOUBLE, count, name))
    list.push_back(real_json(value));
  return list;
}

/// Text of a fixed length, without what fills it up.
std::string unpadded(std::string_view text, hid_t type) {
  if (H5Tget_strpad(type) == H5T_STR_SPACEPAD)
    return std::string(text.substr(0, text.find_last_not_of(' ') + 1));
  return std::string(text.substr(0, text.find('\0')));
}

json fixed_texts(hid_t attribute, hid_t type, std::size_t count, const std::string& name) {
  const std::size_t bytes = H5Tget_size(type);
  const auto raw = read_as<char>(attribute, type, count * bytes, name);
  json list = json::array();
  for (std::size_t i = 0; i < count; ++i) list.push_back(unpadded({raw.data() + i * bytes, bytes}, type));
  return list;
}

/// HDF5 allocates each text and takes all back.
class ReadTexts {
 public:
  ReadTexts(hid_t attribute, hid_t type, std::size_t count, const std::string& name)
      : type_(type),
        space_(checked(H5Aget_space(attribute), "read the shape of", name), H5Sclose),
        texts_(count, nullptr) {
    check(H5Aread(attribute, type, texts_.data()), "read attribute", name);
  }
  ~ReadTexts() { H5Dvlen_reclaim(type_, space_, H5P_DEFAULT, texts_.data()); }
  ReadTexts(const ReadTexts&) = delete;
  ReadTexts& operator=(const ReadTexts&) = delete;

  std::span<char* const> texts() const noexcept { return texts_; }

 private:
  hid_t type_;
  Handle space_;
  std::vector<char*> texts_;
};

json texts_of_any_length(hid_t attribute, hid_t type, std::size_t count, const std::string& name) {
  const ReadTexts read(attribute, type, count, name);
  json list = json::array();
  for (const char* text : read.texts()) list.push_back(text ? text : "");
  return list;
}

json texts(hid_t attribute, hid_t type, std::size_t count, const std::string& name) {
  const bool is_variable = H5Tis_variable_str(type) > 0;
  return is_variable ? texts_of_any_length(attribute, type, count, name)
                     : fixed_texts(attribute, type, count, name);
}

std::size_t text_bytes(const json& list) {
  std::size_t bytes = 0;
  for (const json& value : list)
    bytes += value.is_string() ? value.get_ref<const std::string&>().size() : sizeof(double);
  return bytes;
}

/// Reads one after the other until they are too many bytes together.
class Reader {
 public:
  Attribute read(hid_t object, const std::string& name) {
    const Handle attribute(checked(H5Aopen(object, name.c_str(), H5P_DEFAULT), "open attribute", name),
                           H5Aclose);
    const Handle type(checked(H5Aget_type(attribute), "read the type of", name), H5Tclose);
    const Handle space(checked(H5Aget_space(attribute), "read the shape of", name), H5Sclose);
    Attribute made;
    made.name = name;
    made.type = type_text(type);
    if (H5Sget_simple_extent_type(space) == H5S_NULL) {
      made.why = "null dataspace (it holds no value)";
      return made;
    }
    read_extents(space, made);
    read_value(attribute, type, made);
    return made;
  }

 private:
  static void read_extents(hid_t space, Attribute& made) {
    std::array<hsize_t, H5S_MAX_RANK> extents{};
    const int rank = H5Sget_simple_extent_ndims(space);
    CARAVAN_CHECK(rank >= 0 && rank <= H5S_MAX_RANK, IoError,
                  fmt::format("attribute {} has no plain shape", made.name));
    H5Sget_simple_extent_dims(space, extents.data(), nullptr);
    made.extents.assign(extents.begin(), extents.begin() + rank);
  }

  void read_value(hid_t attribute, hid_t type, Attribute& made) {
    const H5T_class_t kind = H5Tget_class(type);
    const bool is_known = kind == H5T_STRING || kind == H5T_FLOAT || readable_as(type);
    std::uint64_t count = 1, bytes = 0;
    for (const std::uint64_t extent : made.extents)
      if (__builtin_mul_overflow(count, extent, &count)) count = UINT64_MAX;
    if (!is_known) {
      made.why = "values of this type are not read";
    } else if (count > kMostValues || __builtin_mul_overflow(count, H5Tget_size(type), &bytes) ||
               bytes > kMostBytes) {
      made.why = fmt::format("{} values (at most {}, of 1 MiB, are read)", count, kMostValues);
    } else {
      take(values_of(attribute, type, static_cast<std::size_t>(count), made.name), made);
    }
  }

  static json values_of(hid_t attribute, hid_t type, std::size_t count, const std::string& name) {
    if (count == 0) return json::array();
    switch (H5Tget_class(type)) {
      case H5T_STRING:
        return texts(attribute, type, count, name);
      case H5T_FLOAT:
        return reals(attribute, count, name);
      default:
        return whole_numbers(attribute, type, count, name);
    }
  }

  void take(json values, Attribute& made) {
    const std::size_t bytes = text_bytes(values);
    if (bytes > kMostBytes || taken_ + bytes > kMostBytesOfAll) {
      made.why = fmt::format("{} bytes (at most 1 MiB of a value and 4 MiB of an object are read)", bytes);
      return;
    }
    taken_ += bytes;
    made.value = made.extents.empty() ? std::move(values.at(0)) : std::move(values);
  }

  std::size_t taken_ = 0;
};

}  // namespace

std::vector<Attribute> attributes_of(hid_t object, const std::string& path) {
  Names listed;
  const herr_t result = H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, take_name, &listed);
  checked(result, "list the attributes of", path);
  CARAVAN_CHECK(result == 0 || listed.has_more, IoError,
                fmt::format("an attribute of {} has a name of more than {} bytes", path, kMostNameBytes));
  std::vector<Attribute> attributes;
  Reader reader;
  for (const std::string& name : listed.names) attributes.push_back(reader.read(object, name));
  if (listed.has_more) {
    attributes.emplace_back();
    attributes.back().name = "…";
    attributes.back().why =
        fmt::format("more than {} attributes (the others are not listed)", kMostAttributes);
  }
  return attributes;
}

}  // namespace caravan::io::h5
