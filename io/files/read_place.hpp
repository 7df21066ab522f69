#pragma once

#include "caravan/tensor.hpp"
#include "io/files/file.hpp"

namespace caravan::io {

/// Copies a tensor that lies in a file, as copy_elements. place: its data counts bytes from the front of the
/// file and is no memory; any strides of at least 0. to: host memory of its shape. What lies in the file as
/// it does in memory is read to where it goes; anything else through a few MiB for each thread. IoError when
/// the file ends before.
void read_place(const File& file, const TensorView& place, const TensorView& to, int threads = 1);

}  // namespace caravan::io
