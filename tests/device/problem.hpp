#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "caravan/ops.hpp"
#include "caravan/random.hpp"

namespace caravan::testing {

/// One argument of an operator: what it holds before the call, and where gaps lie between its rows.
struct Operand {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::int64_t gap = 0;        ///< unused elements after each row (rank 2: of [columns], rank 4: of [A·D])
  std::vector<double> values;  ///< row-major; nothing for what is only written
  double terms = 0;  ///< size of the terms that may cancel in it; an error is measured against that at least
  std::vector<double> terms_at = {};      ///< the same of each element, where sizes differ; or nothing
  bool scratch = false;                   ///< what it holds afterwards is up to the device
  std::optional<DType> terms_dtype = {};  ///< what a device may round those terms to; nothing: dtype
};

/// Names an operand of the problem that made it.
struct Handle {
  std::size_t index;
};

/// The operands as views on one device's memory.
class Views {
 public:
  explicit Views(std::vector<TensorView> views) : views_(std::move(views)) {}
  TensorView operator[](Handle handle) const { return views_.at(handle.index); }

 private:
  std::vector<TensorView> views_;
};

/// One call of one operator on given inputs, to be run on two devices.
struct Problem {
  std::string name;  ///< operator/case
  std::vector<Operand> operands;
  std::function<void(Ops&, const Views&)> run;
};

/// How the operands of a problem are stored.
struct Storage {
  DType compute = DType::f32;  ///< of activations and weights; statistics and gradients of weights stay f32
  std::int64_t gap = 0;        ///< between rows
};

/// Collects the operands of a problem. Random values depend on problem and operand name only, and are already
/// rounded to the storage type, so that both devices read the same numbers.
class ProblemBuilder {
 public:
  ProblemBuilder(std::string name, Storage storage) : name_(std::move(name)), storage_(storage) {}

  /// Standard normal values × `scale` in the compute type.
  Handle random(std::string name, const Shape& shape, double scale = 1) {
    return draw({std::move(name), storage_.compute, shape, gap_of(shape), {}, 0}, scale);
  }
  /// Nothing before the call, in the compute type.
  Handle output(std::string name, const Shape& shape) {
    return put({std::move(name), storage_.compute, shape, gap_of(shape), {}, 0});
  }
  /// Room for the device's own use, in the compute type.
  Handle scratch(std::string name, const Shape& shape) {
    return not_compared(output(std::move(name), shape));
  }
  /// What the operand holds after the call is of no interest.
  Handle not_compared(Handle handle) {
    operands_[handle.index].scratch = true;
    return handle;
  }
  /// The same as random and output in f32 whatever the compute type: statistics, gradients of weights,
  /// routing weights.
  Handle f32_random(std::string name, const Shape& shape, double scale = 1) {
    return draw({std::move(name), DType::f32, shape, gap_of(shape), {}, 0}, scale);
  }
  Handle f32_output(std::string name, const Shape& shape) {
    return put({std::move(name), DType::f32, shape, gap_of(shape), {}, 0});
  }
  /// Given values, or none, of any type; no gaps.
  Handle given(std::string name, DType dtype, const Shape& shape, std::vector<double> values) {
    return put({std::move(name), dtype, shape, 0, std::move(values), 0});
  }
  Handle indices(std::string name, const Shape& shape, const std::vector<std::int32_t>& values) {
    return given(std::move(name), DType::i32, shape, {values.begin(), values.end()});
  }
  Handle index_output(std::string name, const Shape& shape) {
    return given(std::move(name), DType::i32, shape, {});
  }
  /// An operand without gaps, for operators that ask for contiguous memory.
  Handle contiguous(Handle handle) {
    operands_[handle.index].gap = 0;
    return handle;
  }
  /// Says that terms of this size cancel in an output, down to 0 for some shapes.
  Handle cancels(Handle handle, double terms) {
    operands_[handle.index].terms = terms;
    return handle;
  }
  Handle cancels(Handle handle, std::vector<double> terms_at) {
    operands_[handle.index].terms_at = std::move(terms_at);
    return handle;
  }
  /// Says that an f32 output adds up terms that the device may hold in the compute type.
  Handle sums_compute_type(Handle handle) {
    operands_[handle.index].terms_dtype = storage_.compute;
    return handle;
  }
  /// Replaces the values of an operand.
  void set(Handle handle, std::vector<double> values) { operands_[handle.index].values = std::move(values); }
  const std::vector<double>& values(Handle handle) const { return operands_.at(handle.index).values; }
  Storage storage() const { return storage_; }

  /// Runs an operator on the reference with the operands so far, and keeps what it wrote as their values: how
  /// a backward problem gets what its forward left.
  void prepare(const std::function<void(Ops&, const Views&)>& run);

  Problem build(std::function<void(Ops&, const Views&)> run) { return {name_, operands_, std::move(run)}; }

 private:
  std::int64_t gap_of(const Shape& shape) const {
    return shape.rank() == 2 || shape.rank() == 4 ? storage_.gap : 0;
  }
  Handle put(Operand operand) {
    operands_.push_back(std::move(operand));
    return {operands_.size() - 1};
  }
  Handle draw(Operand operand, double scale);

  std::string name_;
  Storage storage_;
  std::vector<Operand> operands_;
};

}  // namespace caravan::testing
