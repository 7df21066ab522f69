#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "io/hdf5/h5_file.hpp"

namespace caravan::io::h5 {

using AttributeValue = std::variant<std::int64_t, double, std::string>;

/// Sets `name` on the group `group` ("/" or "/state"), which is made when it is not there. Text is UTF-8 of
/// any length.
void write_attribute(const H5File& file, const std::string& group, const std::string& name,
                     const AttributeValue& value);

/// IoError when absent or of another kind than a whole number, a float or text.
AttributeValue read_attribute(const H5File& file, const std::string& group, const std::string& name);
bool has_attribute(const H5File& file, const std::string& group, const std::string& name);

}  // namespace caravan::io::h5
