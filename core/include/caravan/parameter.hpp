#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/logit_parts.hpp"
#include "caravan/ops/linear.hpp"
#include "caravan/parameter_spec.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

struct ParameterGroup;

/// Weight and gradient of one spec on this rank, in the shape that kernels see: the global one after its
/// cuts. What stays from step to step are its fragments. Null before allocation.
class Parameter {
 public:
  /// `mesh` may be null: one rank. ConfigError for a cut that leaves a rank without elements.
  explicit Parameter(ParameterSpec spec, const Mesh* mesh = nullptr);
  const ParameterSpec& spec() const noexcept { return spec_; }
  const Shape& shape() const noexcept { return shape_; }
  /// The slice of `whole` (weight, gradient …) that part `index` names.
  TensorView part(const TensorView& whole, std::size_t index) const;
  /// The shape of the part in the model.
  Shape part_shape(std::size_t index) const;
  /// Where this rank's slice of the part lies in it.
  const Box& part_box(std::size_t index) const { return places_[index].box; }
  /// How many neighbouring tensor ranks have this slice alike. Each makes a summand of its gradient, from its
  /// own rows or heads. Of experts 1: who has the same expert has it by another axis.
  int copies(std::size_t index) const { return places_[index].copies; }
  /// Of those, this rank's is the one that norms and checkpoints take.
  bool counts(std::size_t index) const { return places_[index].counts; }

  /// Promise of a layer to add to the gradient as begin_sum() says, each time: then the gradient is not
  /// cleared at the start of a step. Of no effect where several layers share the parameter.
  Parameter& replaces_gradient() {
    replaces_ = true;
    return *this;
  }
  /// The same promise, of a layer whose operator adds the squares of what it writes to `squares` on the way.
  Parameter& squares_gradient() {
    squares_itself_ = true;
    return replaces_gradient();
  }
  /// Promise of a layer that looks up rows: where sums_rows() says so it adds to the gradient what the tokens
  /// of all ranks of MeshAxis::loss give to the rows that this rank keeps. Nobody else then sums it over
  /// ranks.
  Parameter& offers_row_sums() {
    offers_row_sums_ = true;
    return *this;
  }
  bool row_sums_are_offered() const noexcept { return offers_row_sums_; }
  /// Promise of a layer to ask is_trained() before it adds to the gradient. A parameter of which some layer
  /// that uses it does not promise that cannot be frozen.
  Parameter& offers_freezing() {
    ++freezing_offers_;
    return *this;
  }
  bool freezing_is_offered() const noexcept { return freezing_offers_ >= uses; }
  /// Promise of a layer of attention: without a norm it raises `largest_logits`, where that is not empty, in
  /// the first forward of each micro-batch of training.
  Parameter& makes_logits(const LogitParts& parts) {
    logit_parts_ = parts;
    return *this;
  }
  const std::optional<LogitParts>& logit_parts() const noexcept { return logit_parts_; }
  /// It has a gradient. Where not, `grad` is empty.
  bool is_trained() const noexcept { return !rule_.frozen; }
  const UpdateRule& update_rule() const noexcept { return rule_; }
  /// It has the optimizer's slot `slot`.
  bool keeps(std::size_t slot) const noexcept { return is_trained() && ((rule_.slots >> slot) & 1U) != 0; }
  /// Nobody but that layer adds to the gradient, and no tensor rank has the same rows.
  bool can_sum_rows() const { return offers_row_sums_ && uses == 1 && copies(0) == 1 && is_trained(); }
  /// It is made use of; see ParameterStore::sum_rows_of.
  bool sums_rows() const noexcept { return sums_rows_; }
  /// Rows of `weight` that `grad` has: all, but where sums_rows() those that this rank keeps.
  AxisRange gradient_rows() const noexcept { return gradient_rows_; }
  bool gradient_is_squared() const noexcept { return squares_itself_ && gradient_is_replaced(); }
  bool gradient_is_replaced() const noexcept { return replaces_ && uses == 1 && is_trained(); }
  /// How the sum that begins now goes into `grad`: replace for the first of a step, where the layer promised
  /// to say so each time.
  Accumulate begin_sum() { return std::exchange(stale_, false) ? Accumulate::replace : Accumulate::add; }

  TensorView weight;   ///< what operators read, of the store's compute type; see ParameterStore::divide
  TensorView grad;     ///< f32, summed over micro-batches; of gradient_rows()
  TensorView squares;  ///< [1] f64: where Σ grad² goes with the only sum of a step; or empty
  TensorView
      largest_logits;  ///< [A] f32 of the query heads here: the largest of a step; or empty: not wanted
  int uses = 0;        ///< layers that declared it; above 1 when tied

 private:
  friend class ParameterStore;
  ParameterSpec spec_;
  /// This rank's slice of a part.
  struct Place {
    Box box;
    int copies = 1;
    bool counts = true;
  };
  static Place place_of(const ParameterSpec& spec, const ParameterPart& part, const Mesh* mesh);

  Shape shape_;
  std::vector<Place> places_;
  AxisRange gradient_rows_;
  UpdateRule rule_;
  std::optional<LogitParts> logit_parts_;
  int freezing_offers_ = 0;
  bool replaces_ = false, squares_itself_ = false, offers_row_sums_ = false, sums_rows_ = false;
  bool stale_ = false;  ///< `grad` holds the last step's values
};

/// Elements [begin, end) of a parameter in the row-major order of its shape, which this rank keeps from step
/// to step. All views are flat and have these elements. Null before allocation.
struct Fragment {
  Parameter* parameter = nullptr;
  std::int64_t begin = 0, end = 0;
  TensorView weight;              ///< of the store's compute type
  TensorView master;              ///< f32; the same memory as `weight` where compute is f32; see Content
  TensorView grad;                ///< f32
  std::vector<TensorView> slots;  ///< f32, as the optimizer names them; empty where Parameter::keeps() not

  std::int64_t count() const { return end - begin; }
  bool is_whole() const { return begin == 0 && end == parameter->shape().count(); }
};

/// Elements of a fragment that are a box of one part.
struct PartOfFragment {
  std::size_t part = 0;
  Box box;          ///< in the part, as the model has it
  TensorView view;  ///< of the flat tensor that was asked about, in the box's shape
};
/// All elements of the fragment once, in its order; of a whole parameter one for each part. `flat`: a tensor
/// of its elements, or null memory.
std::vector<PartOfFragment> parts_of(const Fragment& fragment, const TensorView& flat);

/// State that is not trained by gradients: expert bias, token counts, rotation tables.
struct Buffer {
  enum class Role {
    constant,  ///< computed at start
    counter,   ///< f32, summed over the data ranks once an optimizer step
    state,     ///< kept in checkpoints under /state/<name>
  };
  std::string name;
  Shape shape;
  Role role = Role::state;
  TensorView data;        ///< f32
  bool prepared = false;  ///< constants: filled already, by whichever layer came first
};

/// Owns every parameter and buffer of a rank. Life: layers declare, then `allocate` once, then `initialise`
/// or a load. Counting needs no allocation.
class ParameterStore {
 public:
  /// `compute`: the type of the weights that operators read, f32 or bf16. `mesh`, borrowed: null for one
  /// rank.
  explicit ParameterStore(DType compute = DType::f32, const Mesh* mesh = nullptr);
  ~ParameterStore();
  DType compute() const noexcept { return compute_; }

  /// The same name declared again gives the same parameter (tied weights); Error when the shapes differ.
  Parameter& declare(ParameterSpec spec);
  Buffer& declare_buffer(std::string name, Shape shape, Buffer::Role role);

  const std::vector<std::unique_ptr<Parameter>>& parameters() const noexcept { return parameters_; }
  /// One for each parameter, in their order.
  const std::vector<Fragment>& fragments() const noexcept { return fragments_; }
  const std::vector<std::unique_ptr<Buffer>>& buffers() const noexcept { return buffers_; }

  using RuleOf = std::function<UpdateRule(const ParameterSpec&)>;
  /// [before sum_rows_of(), divide() and memory()] ConfigError naming a parameter that would be frozen and
  /// belongs to a layer that does not offer it.
  void set_rules(const RuleOf& rule_of);
  /// [before divide() and memory()] The gradients of these parameters, of which others may have some, are
  /// summed by the layers that offer it.
  void sum_rows_of(std::span<const std::string> names);
  /// [once, before memory() is asked] Of each group this rank keeps a stretch; weight and grad of its
  /// parameters are in rooms that other groups may use too, and have values between a gather and that alone.
  /// The groups hold every parameter once.
  void divide(std::vector<ParameterGroup> groups);
  /// None where every parameter is whole on this rank.
  std::span<const ParameterGroup> groups() const noexcept;

  /// Elements of the declared parameters, of all ranks together.
  std::int64_t count() const;
  std::int64_t count(ParameterKind kind) const;

  /// What a rank keeps beside the weights. Without gradients there are masters only where they are the
  /// weights.
  enum class Content { weights, weights_and_gradients };
  struct Memory {
    std::size_t weights = 0, masters = 0, gradients = 0, slots = 0, buffers = 0;
    std::size_t weight_rooms = 0, gradient_rooms = 0;  ///< where groups are whole for a while
    std::size_t total() const {
      return weights + masters + gradients + slots + buffers + weight_rooms + gradient_rooms;
    }
  };
  Memory memory(Content content, std::size_t slots) const;
  /// [once] Takes arenas from `device`, which must outlive this; zeroes gradients, slots and buffers.
  void allocate(Device& device, Content content, std::size_t slots);
  /// Draws every element; see Initial.
  void initialise(std::uint64_t seed);

  using Fill = std::function<void(const TensorView& values)>;
  /// Gives `fill` room for the f32 values of a fragment in host memory, flat; what it writes becomes master
  /// and, rounded, weight. The room of a fragment in host memory is the master itself.
  void set(const Fragment& fragment, const Fill& fill);
  /// Of a fragment without a master: gives `fill` the beginning of `room`, flat and of the type of
  /// computation. The room is free again afterwards.
  void set_weight(const Fragment& fragment, const Fill& fill, std::span<std::byte> room);
  /// The same for a slot or buffer, in its shape.
  void set(const TensorView& tensor, const Fill& fill);
  /// Starts a step: gradients are zero, or will be replaced by the first that adds to them. Not those of
  /// groups.
  void start_gradients(Device& device);
  /// Ends the sums of a step: what nobody replaced becomes zero.
  void finish_gradients(Device& device);
  /// The same of one group, in the room where its gradients are whole.
  void start_gradients(Device& device, const ParameterGroup& group);
  void finish_gradients(Device& device, const ParameterGroup& group);
  /// The gradients of all fragments as one contiguous view: those that a step clears first, those that can be
  /// squared as they are made last.
  TensorView all_gradients() const noexcept { return all_gradients_; }

 private:
  /// The order of every arena but that of buffers: by what a step does with the gradient, then by kind.
  std::vector<Fragment*> in_memory_order();
  Arena& open(std::size_t bytes, std::string name);
  void place_weights(const Memory& need);
  void place_gradients(Arena& arena);
  void place_slot(Arena& arena, std::size_t slot);
  Memory memory_of_wholes(Content content) const;
  /// Of one of the optimizer's slots.
  std::size_t slot_bytes(std::size_t slot) const;
  void finish_gradient(Device& device, Parameter& parameter);

  Memory memory_of_groups(Content content) const;
  std::size_t slot_bytes_of_groups(std::size_t slot) const;
  enum class Of { all, trained };
  /// Where the stretch of a group goes, and a fragment's part of it.
  struct PlaceStretch {
    std::function<TensorView&(ParameterGroup&)> of_group;
    std::function<TensorView&(Fragment&)> of_fragment;
  };
  void place_stretches(Arena& arena, DType dtype, const PlaceStretch& place, Of which = Of::all);
  void place_group_weights(const Memory& need);
  void place_group_gradients(const Memory& need);
  void place_group_slot(Arena& arena, std::size_t slot);

  DType compute_;
  const Mesh* mesh_;
  Device* device_ = nullptr;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<Fragment> fragments_;
  std::unique_ptr<std::vector<ParameterGroup>> groups_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<Arena> arenas_;
  TensorView all_gradients_;
  std::size_t cleared_bytes_ = 0;  // of all_gradients_, from the front
};

}  // namespace caravan
