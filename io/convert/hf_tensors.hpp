#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/convert/made_tensor.hpp"

namespace caravan::io {

/// What a conversion takes from a source.
struct Selection {
  std::vector<NamedShape> weights;     ///< ours, in the order of the model
  std::vector<NamedShape> companions;  ///< see WeightSource
  std::optional<DType> dtype;          ///< of the weights; nothing: as they are stored
};

/// f64, which nothing here computes with, becomes f32.
DType dtype_of_made(const WeightSource& source, const std::string& name, const std::optional<DType>& wanted);

/// The tensors of a Hugging Face folder as transformers writes it, experts fused, in the order of the model;
/// companions last. `prefix` stands before the names of weights. IoError for a weight that the format has no
/// place for.
std::vector<MadeTensor> hf_tensors(const WeightSource& source, const Selection& selection,
                                   const std::string& prefix);

/// The same under our own names; companions behind `root_of_companions`.
std::vector<MadeTensor> our_tensors(const WeightSource& source, const Selection& selection,
                                    const std::string& root, const std::string& root_of_companions);

/// The same with the tensors of all layers that have one of a kind as one, see
/// io/checkpoint/stacked_layers.hpp. Others stay as they are. IoError for tensors of four axes, and for
/// layers that differ.
std::vector<MadeTensor> stacked(const std::vector<MadeTensor>& tensors);

}  // namespace caravan::io
