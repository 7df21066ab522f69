#pragma once

#include <utility>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// The same elements with the last two axes exchanged.
inline TensorView with_last_axes_exchanged(TensorView view) {
  const int last = view.shape.rank() - 1;
  const std::int64_t extent = view.extent(last);
  view.shape.set(last, view.extent(last - 1));
  view.shape.set(last - 1, extent);
  std::swap(view.strides[static_cast<std::size_t>(last)], view.strides[static_cast<std::size_t>(last - 1)]);
  return view;
}

}  // namespace caravan::io
