#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/sharding.hpp"
#include "caravan/tensor.hpp"

// What layers, optimizers and layouts say of a parameter before it has memory.
namespace caravan {

/// What a parameter belongs to: how it is counted, reported and sharded.
enum class ParameterKind { embedding, norm, attention, dense, router, shared_expert, expert, head };
inline constexpr int kParameterKinds = 8;
std::string_view name_of(ParameterKind kind) noexcept;

/// How the elements start. Element i of a part named n is drawn from stream (seed, n) at counter i, so every
/// layout starts equal.
struct Initial {
  enum class Rule { zeros, ones, normal } rule = Rule::normal;
  float std = 0.02f;
  float bound = 0;  ///< normal: redraw-free cut at ±bound (clamped); 0: none
};

/// A named slice of a parameter along its part axis: what checkpoints, converters and reports see.
struct ParameterPart {
  std::string name;  ///< global name, "layers.3.attention.wq.weight"
  std::int64_t extent = 0;
  Initial initial;
  std::int64_t unit = 1;  ///< elements along the part axis that a cut keeps together, such as a head's
  /// Where ranks are a multiple of its units, neighbouring ones have the same unit.
  bool repeats = false;
};

/// One block of weights that kernels use whole, under its global shape. Projections that share an input are
/// one parameter with several parts (q|k|v, gate|up), so that they are one matrix product and still have
/// names of their own.
struct ParameterSpec {
  std::string name;
  Shape shape;
  ParameterKind kind = ParameterKind::dense;
  int part_axis = 0;
  std::vector<ParameterPart> parts;  ///< extents add up to shape[part_axis]
  Sharding sharding{};

  /// Of one part; `cuts` as Sharding.
  static ParameterSpec whole(std::string name, Shape shape, ParameterKind kind, Initial initial,
                             std::vector<Cut> cuts = {});
};

/// How one parameter is updated, where that is not as all are.
struct UpdateRule {
  double lr_factor = 1;
  std::optional<double> weight_decay{};  ///< instead of the optimizer's
  bool frozen = false;     ///< it stays as it is: no gradient is made, no master and no slot kept
  bool by_matrix = false;  ///< see Optimizer::takes_matrices
  bool as_base = false;    ///< it is frozen because low-rank adapters are trained instead
  std::uint32_t slots = ~std::uint32_t{0};  ///< bit s: it has the optimizer's slot s
  bool operator==(const UpdateRule&) const = default;
};

}  // namespace caravan
