#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// How one of our tensors lies in a Hugging Face tensor.
enum class HfForm {
  same,
  transposed,  ///< last two axes exchanged
  gate_half,   ///< transposed, first half of the last axis
  up_half,     ///< transposed, second half
};

/// The spellings that files differ in.
struct HfStyle {
  std::string prefix;  ///< "" or "language_model." (multimodal files)
  enum class Experts { fused, separate } experts = Experts::fused;
  bool operator==(const HfStyle&) const = default;
};

/// What a Hugging Face tensor holds of one of ours: all of it, or the rows of one expert.
struct HfPlacement {
  std::string ours;  ///< "layers.3.moe.experts.w1"
  HfForm form = HfForm::same;
  std::optional<std::int64_t> expert;
};

/// Ours in the tensor `hf_name` (prefix already removed): one, or two for gate_up_proj; none when the name is
/// not known.
std::vector<HfPlacement> placements_of(std::string_view hf_name);

/// A Hugging Face tensor that holds one of ours, or one expert's rows of it.
struct HfPiece {
  std::string name;  ///< with the prefix
  Shape shape;       ///< of the whole Hugging Face tensor
  HfPlacement placement;
};

/// Where our tensor of this shape stands in a file of `style`: one piece, or one an expert. IoError when
/// Hugging Face's format has no place for it. Source of the correspondence: torchtitan's
/// Llama4StateDictAdapter, with the dense feed-forward that it lacks.
std::vector<HfPiece> hf_name_and_layout(const std::string& ours, const Shape& shape, const HfStyle& style);

/// The same, and nothing where Hugging Face's format has no place for it.
std::vector<HfPiece> hf_pieces(const std::string& ours, const Shape& shape, const HfStyle& style);

/// The part of `whole` (a Hugging Face tensor) that holds ours, in our orientation: strides, no copy. With an
/// expert, a leading axis of extent 1 is put in front.
TensorView our_view(const TensorView& whole, const HfPlacement& placement);

/// The part of released files that sees, by the names of Hugging Face without a prefix.
bool is_of_vision(std::string_view name);

}  // namespace caravan::io
