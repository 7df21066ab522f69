#pragma once

#include <optional>

#include "caravan/tensor.hpp"
#include "io/hdf5/library.hpp"

namespace caravan::io::h5 {

/// The HDF5 type of one element, little-endian. bf16 is a float with bf16's fields (8 exponent bits, 7
/// mantissa bits), which h5dump and h5py print as numbers. Used for file and memory alike: HDF5 converts bf16
/// at 17 MB/s, and we never let it.
Handle element_type(DType type);

/// The reverse; nothing for a type that is not one of ours.
std::optional<DType> dtype_of_element(hid_t type);

}  // namespace caravan::io::h5
