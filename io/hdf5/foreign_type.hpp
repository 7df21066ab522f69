#pragma once

#include <optional>
#include <string>

#include "io/files/number_type.hpp"
#include "io/hdf5/library.hpp"

namespace caravan::io::h5 {

/// What elements of a stored type are read as, without loss: whole numbers of up to 64 bits in either byte
/// order (those of 12 or 24 bits as the next wider), enumerations and bit fields as the numbers that stand
/// for them, and floats of our four kinds. Nothing for all others.
std::optional<NumberType> readable_as(hid_t stored);

/// The type that H5Dread converts to for `readable_as`.
Handle memory_type(hid_t stored, NumberType element);

/// "u16", "i32 be" (big-endian), "u12", "bool" (h5py's enumeration), "enum i8", "bits u8"; for what is not
/// read HDF5's class: "compound".
std::string type_text(hid_t stored);

/// An enumeration of FALSE = 0 and TRUE = 1, which is how h5py stores truth.
bool is_truth(hid_t stored);

}  // namespace caravan::io::h5
