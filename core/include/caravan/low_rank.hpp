#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/layer.hpp"
#include "caravan/tensor_rows.hpp"

// Low-rank adapters of matrix products. Source: Hu et al. 2021, LoRA.
namespace caravan {

/// Which parts of parameters have an adapter, and of what rank.
struct LowRankRule {
  std::int64_t rank = 0;           ///< r
  double scale = 1;                ///< s = alpha / rank
  std::vector<std::string> globs;  ///< over names as checkpoints have them
  bool fits(const std::string& part) const;
};

/// From the key `lora` of a model or a layer; nothing where it is null. ConfigError with file and line.
std::optional<LowRankRule> read_low_rank(const Config& lora);

/// "layers.0.attention.wq.weight" with "a": "layers.0.attention.wq.lora_a".
std::string adapter_name(std::string_view part, std::string_view which);
/// A or B of an adapter, by its name.
bool is_adapter(std::string_view name) noexcept;

/// ConfigError naming a glob that fits nothing, or a part that no layer adapts. `whole_model`: with all its
/// layers.
void check_adapters(const LowRankRule& rule, const ParameterStore& whole_model);

/// The adapters of one product y = x·Wᵀ, at most one for each part of W: y += s (x·Aᵀ)·Bᵀ, A [r, M] drawn
/// and B [N, r] zero at first. W may hold a matrix for each expert, and so do A and B then. Where tensor
/// ranks cut the outputs of W they cut B, and where they cut its inputs they cut A: what a rank adds is its
/// share of the product, or its summand of it, as W's is.
class LowRankProducts {
 public:
  /// Declares A and B of the parts that the rule fits. ConfigError where the scale is not exact in the type
  /// of computation.
  LowRankProducts(ParameterStore& store, const Parameter& base, const std::optional<LowRankRule>& rule);

  bool empty() const noexcept { return adapters_.empty(); }
  void append_to(std::vector<Parameter*>& parameters) const;
  /// `rows` of x and y. `section`: of forward, which writes y.
  void plan(const BatchShape& shape, std::int64_t rows, std::string_view section, StashPlan& plan);
  void prepare(Device& device) const;

  /// Which of the products.
  struct Where {
    RowRange rows;             ///< of x and y: these are given as the rows alone
    RowRange columns{0, 0};    ///< of y, given as these alone; none: all
    TensorView offsets{};      ///< of experts, as GroupedLinearForward
    std::int64_t first = 0;    ///< of all experts, the first that has rows
    std::int64_t experts = 0;  ///< how many have
  };
  /// y +=; an empty `y`: it is kept already, and only what W reads is made where that is not.
  void forward(Run& run, const Frame& frame, const Where& where, TensorView x, TensorView y) const;
  /// dx +=
  void backward_input(Run& run, const Frame& frame, const Where& where, TensorView dy, TensorView dx) const;
  /// Of all rows and columns that backward_input had.
  void backward_weight(Run& run, const Frame& frame, const Where& where, TensorView x, TensorView dy) const;

 private:
  struct Adapter {
    Parameter* a = nullptr;
    Parameter* b = nullptr;
    RowRange columns;                                 ///< of y
    Entry down, scaled, gradient, scaled_gradient{};  ///< [R, r]: x·Aᵀ, s times it; dy·B, s times it
  };
  static TensorView held(const Parameter& parameter, const TensorView& whole, const Where& where);
  TensorView columns_of(const Adapter& adapter, const Where& where, TensorView all) const;
  void scale(Run& run, TensorView from, TensorView to) const;
  void add_up(Run& run, const Frame& frame, const Where& where, const Adapter& adapter, TensorView y) const;
  bool is_scaled() const noexcept { return scale_ != nullptr; }
  bool is_grouped() const noexcept { return base_->spec().shape.rank() == 3; }
  Entry kept(const Adapter& each) const { return is_scaled() ? each.scaled : each.down; }
  Entry kept_gradient(const Adapter& each) const {
    return is_scaled() ? each.scaled_gradient : each.gradient;
  }

  const Parameter* base_;
  DType compute_;
  std::int64_t rank_ = 0;
  float factor_ = 1;
  Buffer* scale_ = nullptr;  ///< room for s·I in the type of computation, [r, r]; null: s is 1
  std::vector<Adapter> adapters_;
  Entry output_, input_;  ///< experts: rooms of y and dx, whose products do not add
};

}  // namespace caravan
