#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "caravan/tensor.hpp"
#include "io/hf/name_map.hpp"

namespace caravan::io {

struct NamedShape {
  std::string name;
  Shape shape;
};

/// Weights under our names and in our orientation, wherever they are stored. Reading converts to f32, bf16 or
/// f16. Any threads may read at once.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// "Hugging Face folder /models/scout"
  virtual std::string description() const = 0;
  /// Every tensor that a model must take, sorted; one that has no counterpart here keeps its own name.
  virtual std::vector<std::string> names() const = 0;
  virtual bool has(const std::string& name) const = 0;
  virtual Shape shape(const std::string& name) const = 0;  ///< IoError when absent
  virtual DType dtype(const std::string& name) const = 0;  ///< as it is stored; IoError when absent
  /// Tensors that belong to no model of ours and go with its weights, such as the vision part; sorted, under
  /// the names that the files give them. `has` and `read` know them too.
  virtual std::vector<std::string> companions() const { return {}; }
  /// What balances experts and is no weight: all `names` that end in ".expert_bias", and those that stand
  /// elsewhere. check_weights passes them over.
  virtual std::vector<std::string> expert_biases() const;
  /// Names of this file that are deliberately not read, such as the vision part.
  virtual std::vector<std::string> skipped() const { return {}; }
  /// Files that disagree, one sentence each: both, and which counts.
  virtual std::vector<std::string> warnings() const { return {}; }
  /// How a tensor of ours stands, or would stand, in these files.
  virtual std::vector<NamedShape> stored_as(const NamedShape& ours) const { return {ours}; }
  /// In what style gradients are written beside these weights; nothing: under our own names.
  virtual std::optional<HfStyle> hf_style() const { return std::nullopt; }

  /// The whole tensor. to: host memory, any strides, of the stored type or one that it is converted to.
  /// IoError when absent or of another shape.
  void read(const std::string& name, const TensorView& to) const;
  /// The block of `to`'s shape that starts at `origin`: what one rank of a sharded layout needs. Where it is
  /// large, `threads` read it together.
  void read_block(const std::string& name, const Origin& origin, const TensorView& to, int threads = 1) const;

 private:
  /// The block lies inside the tensor.
  virtual void read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                           int threads) const = 0;
};

/// A Hugging Face folder, a safetensors file (with our names or Hugging Face's), a checkpoint, or a run (its
/// newest checkpoint that verifies). IoError when `path` is none of these.
std::unique_ptr<WeightSource> open_weight_source(const std::string& path, const std::string& tied_by = "");

/// What becomes of tensors that a model does not have.
enum class Surplus { refused, left_out };

/// IoError, one for everything, when tensors are missing, of another shape, of whole numbers, or left over
/// and to be refused; it lists the first few, named as the files name them. Returns those that are left out.
std::vector<std::string> check_weights(const WeightSource& source, std::span<const NamedShape> wanted,
                                       Surplus surplus = Surplus::refused);

/// "a, b and 3 more"
std::string first_few(const std::vector<std::string>& names);

}  // namespace caravan::io
