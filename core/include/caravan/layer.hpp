#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "caravan/ops.hpp"
#include "caravan/parameter.hpp"
#include "caravan/token_map.hpp"

namespace caravan {

enum class Phase {
  train,     ///< forward keeps what backward reads; dropout and noise are on; experts are counted
  evaluate,  ///< forward only
  decode,    ///< forward only, rows of many sequences, keys and values are kept in session entries
};

/// Which forward of a micro-batch this is. Sums and counters are added to in the first only.
enum class Pass {
  first,
  recomputation,       ///< of layers: entries of kept sections are as the first one left them
  stage_recomputation  ///< of a whole stage: nothing is left of the first one
};

/// What decoding keeps of sequences: pages of positions, which slots take as they need them. Layers that see
/// whole sequences have one table of pages, layers that see chunks another, in which a slot keeps one chunk.
struct CacheShape {
  std::int64_t slots = 0;        ///< sequences at a time
  std::int64_t positions = 0;    ///< the most of one sequence
  std::int64_t page = 16;        ///< positions of a page
  std::int64_t pages = 0;        ///< of each layer that sees whole sequences
  std::int64_t chunk_pages = 0;  ///< of each layer that sees chunks
  bool operator==(const CacheShape&) const = default;
};

/// Extents of one micro-batch on one rank. In decoding each row is a sequence of its own here, of length 1.
struct BatchShape {
  std::int64_t sequences = 1;  ///< B
  std::int64_t length = 1;     ///< S: tokens of each sequence that this rank has
  Phase phase = Phase::train;
  CacheShape cache{};          ///< decode: what the session holds
  DType compute = DType::f32;  ///< of activations and their gradients; see caravan/ops.hpp
  int tensor_ranks = 1;        ///< that have the same tokens, and divide the rows between layers
  int tensor_rank = 0;
  std::int64_t whole_length = 0;  ///< L, where context ranks have parts of each sequence; 0: they are whole
  std::int64_t most_length = 0;   ///< the largest S of these ranks; 0: they are whole
  /// L: tokens of a whole sequence.
  std::int64_t sequence_length() const { return whole_length > 0 ? whole_length : length; }
  std::int64_t tokens() const { return sequences * length; }
  /// Rows of which logits may be wanted: in decoding at most one of each slot.
  std::int64_t answers() const { return phase == Phase::decode ? std::min(tokens(), cache.slots) : tokens(); }
  /// Rows of a tensor rank's block; the last ranks may have fewer, or none.
  std::int64_t block_rows() const { return (tokens() + tensor_ranks - 1) / tensor_ranks; }
  /// The token that this rank's first row is of.
  std::int64_t first_row() const { return std::min(tokens(), tensor_rank * block_rows()); }
  /// Of the input and output of a layer on this rank: [R, H] of a layer's ends. Not every token need have one
  /// here.
  std::int64_t rows() const { return std::min(tokens() - first_row(), block_rows()); }
  /// What a rank of `mesh` has of micro-batches of this shape; null: one rank. ConfigError where context
  /// ranks are too many for the sequences.
  BatchShape divided_over(const Mesh* mesh) const;
  /// What all ranks of a mesh decide alike is for the rank with the most tokens and rows.
  BatchShape of_largest_rank() const;
  /// The same where every tensor rank has all rows.
  BatchShape with_all_rows() const {
    BatchShape shape = *this;
    shape.tensor_ranks = 1;
    shape.tensor_rank = 0;
    return shape;
  }
  /// The same tokens on a rank that shares them, and their sequences, with no other.
  BatchShape alone() const {
    BatchShape shape = with_all_rows();
    shape.whole_length = shape.most_length = 0;
    return shape;
  }
};

/// How long a stash entry is needed; it decides where the entry lives and when its memory is reused.
enum class Lifetime {
  forward,          ///< written and last read by the same layer's forward
  input,            ///< written by forward, last read by backward_input
  weight,           ///< written by forward, last read by backward_weight
  backward,         ///< written and last read by the same layer's backward_input
  backward_weight,  ///< written by backward_input, last read by backward_weight
  session,          ///< decode: kept between calls (keys and values)
};

/// The section of forward that makes a layer's output, and entries that nothing else needs.
inline constexpr std::string_view kOutputSection = "output";

/// The section of entries that stay when sections are repeated: a repeated forward reads what the first one
/// wrote, unless a whole stage is repeated, of which nothing is kept (Run::makes_kept).
inline constexpr std::string_view kKeptSection = "kept";

/// Handle of a declared entry of the stash.
struct Entry {
  int index = -1;
};

/// Collects what a layer wants to keep. Declarations must come in the same order for every shape; count 0 is
/// fine.
class StashPlan {
 public:
  struct Declaration {
    std::string name;
    DType dtype;
    Shape shape;
    Lifetime lifetime;
    std::string section;  ///< of forward, which writes it
    /// It lives from forward to backward: kept meanwhile, or written again.
    bool outlives_forward() const { return lifetime == Lifetime::input || lifetime == Lifetime::weight; }
  };
  /// `section`: what forward leaves out or does again as one (see Run::makes); none: it is one of its own. An
  /// entry of lifetime forward belongs to the section that it is made for.
  Entry add(std::string name, DType dtype, Shape shape, Lifetime lifetime, std::string_view section = {}) {
    std::string writer(section.empty() ? std::string_view(name) : section);
    declarations_.push_back({std::move(name), dtype, shape, lifetime, std::move(writer)});
    return Entry{static_cast<int>(declarations_.size()) - 1};
  }
  const std::vector<Declaration>& entries() const noexcept { return declarations_; }
  /// What this layer uses of memory besides the stash that all layers share, such as a dispatcher's window.
  /// For the reckoning of memory alone.
  void uses_shared(std::size_t bytes) { shared_bytes_ = std::max(shared_bytes_, bytes); }
  std::size_t shared_bytes() const noexcept { return shared_bytes_; }

 private:
  std::vector<Declaration> declarations_;
  std::size_t shared_bytes_ = 0;
};

/// What a segment sees of one micro-batch: the layer's input and output, their gradients, and the declared
/// entries. Outside training the gradients are empty.
struct Frame {
  TensorView x;   ///< [R, H] layer input, R = BatchShape::rows(); empty for the first layer of the model
  TensorView y;   ///< [R, H] layer output; empty for the last layer of the model
  TensorView dx;  ///< [R, H] to be written by backward_input
  TensorView dy;  ///< [R, H] given to backward_input; also valid in backward_weight
  std::vector<TensorView> entries;
  std::vector<bool> repeats;   ///< entries that a repeated forward writes again; the others are kept
  bool repeats_output = true;  ///< the same of y
  TensorView operator[](Entry entry) const { return entries[static_cast<std::size_t>(entry.index)]; }
};

/// Decode: where the rows stand, in the device's memory.
struct DecodeRows {
  TensorView tokens;       ///< [T] i32
  TensorView slots;        ///< [T] i32, see CacheRows
  TensorView positions;    ///< [T] i32
  TensorView answers;      ///< [R] i32 rows whose logits are wanted, −1: none; R = BatchShape::answers()
  TensorView pages;        ///< [N, W] i32 of layers that see whole sequences
  TensorView chunk_pages;  ///< [N, C] i32 of layers that see chunks
};

/// One micro-batch on its way through a stage. Borrowed; lives as long as the walk.
struct Run {
  Device& device;
  Ops& ops;
  BatchShape shape;
  TensorView tokens;         ///< [T] i32
  TensorView labels;         ///< [T] i32, empty where there is no loss
  TensorView documents;      ///< [B, L] i32 of whole sequences, or empty: one document a sequence
  TokenMap token_map;        ///< which tokens of the data `tokens` are
  std::uint64_t seed = 0;    ///< of this optimizer step
  float gradient_scale = 1;  ///< 1 / valid tokens of the optimizer step over all ranks
  float sequence_scale = 1;  ///< 1 / sequences of the optimizer step over all ranks
  TensorView loss_sum;       ///< [1] f64 +=
  TensorView balance_loss;   ///< [1] f64 +=
  TensorView overflow;       ///< [1] f64 += rows that a dispatcher had no room for
  TensorView dropped;        ///< [1] f64 += choices beyond their experts' capacity, in the first forward
  TensorView logits;         ///< [T, V] (decode: [R, V] of rows.answers), or empty: not wanted
  DecodeRows rows;           ///< decode
  Ticket pending;            ///< posted by a segment on another lane
  Pass pass = Pass::first;

  /// Which tokens the rows of a layer's input and output are: keys dropout and noise.
  TokenMap row_map() const { return token_map.from(shape.first_row()); }
  bool training() const { return shape.phase == Phase::train; }
  /// Sums and counters of training are to be added to.
  bool counts() const { return training() && pass == Pass::first; }
  /// Forward does what writes `entry`. A repeated one may leave out what has been kept, so each section of a
  /// layer's forward asks; writing it again gives the same bits and costs time alone.
  bool makes(const Frame& frame, Entry entry) const {
    return pass == Pass::first || frame.repeats[static_cast<std::size_t>(entry.index)];
  }
  /// The same for the entries of kKeptSection.
  bool makes_kept() const { return pass != Pass::recomputation; }
  /// The same for y and the entries of kOutputSection.
  bool makes_output(const Frame& frame) const { return pass == Pass::first || frame.repeats_output; }
  /// Key of a random stream that belongs to this step and to `name`.
  RandomKey key(std::string_view name) const { return {seed, hash_name(name)}; }
  /// The same of "layer" + "name" without making that text.
  RandomKey key(std::string_view layer, std::string_view name) const {
    return {seed, hash_name(name, hash_name(layer))};
  }
};

/// The smallest piece of a layer that is scheduled as a unit.
class Segment {
 public:
  virtual ~Segment() = default;
  virtual std::string_view name() const = 0;
  /// On a lane of communication a segment only posts and leaves its ticket in run.pending.
  virtual Lane lane() const { return Lane::compute; }
  /// The walks that visit it: those that go forward, repeated or not, those of I and W, or all.
  enum class Directions { both, forward, backward };
  virtual Directions directions() const { return Directions::both; }
  /// False: may run while the walk's last exchange on that lane is in flight.
  virtual bool needs_pending(Lane) const { return true; }
  /// What a post sends to other ranks, for plans: where routing decides, as if it were even.
  virtual double sent_bytes(const BatchShape&) const { return 0; }
  /// Whether it posts in a repeated forward with this frame too.
  virtual bool posts_again(const Frame&) const { return false; }
  /// Finishes what this segment posted; its ticket is in run.pending.
  virtual void wait(Run&) {}
  virtual void forward(Run& run, Frame& frame) = 0;
  /// I: from frame.dy and what forward kept to frame.dx.
  virtual void backward_input(Run& run, Frame& frame) = 0;
  /// W: adds to the gradients of the layer's parameters.
  virtual void backward_weight(Run&, Frame&) {}
};

/// A list of segments with the parameters they share. Plugin kind "layer". The constructor declares
/// parameters in host.parameters and allocates nothing.
class Layer {
 public:
  static constexpr const char* kKind = "layer";
  static constexpr std::uint32_t kKindVersion = 6;
  virtual ~Layer() = default;

  virtual const std::vector<Segment*>& segments() const = 0;
  virtual const std::vector<Parameter*>& parameters() const = 0;
  /// Declares the entries for a shape. Called before any walk with that shape.
  virtual void plan(const BatchShape& shape, StashPlan& plan) = 0;
  /// Fills constant buffers; called once after allocation. `positions`: the most positions of any sequence.
  virtual void prepare(Device&, std::int64_t /*positions*/) {}
  /// After the optimizer's step, with counters summed over the data ranks. `proceed`, [1] f32: NaN when the
  /// step failed and nothing may change.
  virtual void end_of_step(Ops&, TensorView /*proceed*/) {}
  /// Multiply-adds of forward × 2 for a shape: causal attention at half, chunks as chunks, active experts
  /// only.
  virtual double forward_flops(const BatchShape& shape) const = 0;
};

}  // namespace caravan
