#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// Gives the elements of a host view in row-major order as contiguous pieces: rows [first, first +
/// piece.extent(0)) each. A contiguous view is given whole and not copied; others go through a buffer of a
/// few MiB.
void for_each_contiguous(const TensorView& view,
                         const std::function<void(std::int64_t first, const TensorView& piece)>& take);

/// The same as bytes.
void for_each_packed(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take);

/// The runs of memory that hold the elements, in row-major order, as large as they are. Does not read
/// them: the memory may be a device's.
void for_each_run(const TensorView& view, const std::function<void(std::span<std::byte>)>& take);

/// The elements of a host view in row-major order at `to`, which has room for view.bytes().
void pack(const TensorView& view, std::byte* to);

/// How many rows of axis 0 fit a buffer of a few MiB; at least one.
std::int64_t rows_a_piece(const TensorView& view);

inline std::span<const std::byte> bytes_of(const TensorView& contiguous) {
  return {contiguous.as<const std::byte>(), contiguous.bytes()};
}

}  // namespace caravan::io
