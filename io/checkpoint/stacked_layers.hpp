#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// Tensors of several layers as one, with a leading axis of layers: "layers.0:48.attention.wq.weight" holds
/// those of layers 0 to 47, "layers.1:48:2.moe.experts.w1" of every second one from 1 on, and
/// "layers.0,1,3.moe.experts.w1" of these three, in this order.

/// The name for `rest` of these ascending layers.
std::string stacked_name(std::span<const std::int64_t> layers, std::string_view rest);

/// Where a layer's tensor stands.
struct StackedLayer {
  std::string name;        ///< of the stack
  std::int64_t slot = 0;   ///< index of its leading axis
  std::int64_t slots = 0;  ///< that it must have
};

/// The tensors of single layers that the stacks among `tensors` hold, by the names that they would have for
/// themselves. Names may have a prefix that ends in a slash, which stays. IoError when two names hold the
/// same layer's, and for a stack that has not as many layers as its name says: a short name may say
/// thousands, so that is looked at first.
std::map<std::string, StackedLayer, std::less<>> layers_of_stacks(
    const std::map<std::string, Shape>& tensors);

/// The shape of one layer of a stack; IoError unless it has as many layers as its name says.
Shape shape_of_layer(const Shape& stack, const StackedLayer& layer);

/// `single`, of memory, as one layer of its stack: with a leading axis of extent 1.
TensorView as_layer(const TensorView& single);

}  // namespace caravan::io
