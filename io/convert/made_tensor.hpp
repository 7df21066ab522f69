#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "io/hf/weight_source.hpp"

namespace caravan::io {

/// A block of a tensor of a source, and where it lies in the tensor that is made.
struct MadePart {
  std::string source;       ///< a name that a WeightSource knows
  Origin from{};            ///< where the block starts there
  Box at;                   ///< in MadeTensor::shape
  bool transposed = false;  ///< the last two axes of the source are exchanged
  bool is_layer = false;    ///< axis 0 of `at`, of extent 1, is none of the source
};

/// A tensor that is to be written, made of blocks of a source's tensors; what no part covers is zero.
struct MadeTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape stored;  ///< as the file says
  Shape shape;   ///< in which the parts lie; as many elements
  std::vector<MadePart> parts;

  std::uint64_t bytes() const { return TensorView(nullptr, dtype, shape).bytes(); }
  /// The whole of one of a source's tensors, under another name.
  static MadeTensor copy(std::string name, const NamedShape& of, DType dtype);
};

/// Fills a block of the tensor. to: contiguous host memory of its type and the block's extents. IoError,
/// naming the tensor, when the source cannot be read or its values do not fit the type. Where it is large,
/// `threads` make it together.
void make_block(const WeightSource& source, const MadeTensor& tensor, const Box& block, const TensorView& to,
                int threads = 1);

/// The tensor as blocks that follow each other in row-major order, as large as a converter may hold: some MiB
/// of rows, or a whole row of axis 0 (the matrix of an expert) up to 256 MiB.
std::vector<Box> blocks_of(const MadeTensor& tensor);

}  // namespace caravan::io
