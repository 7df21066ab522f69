#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/layer.hpp"
#include "core/plan/recompute.hpp"

namespace caravan {

/// How the backward of a stage is scheduled; decides which entries can share memory.
enum class StashMode {
  inference,  ///< forward only: every layer reuses the same memory
  fused,      ///< B: W of a segment follows its I, so gradients between them are short-lived
  split,      ///< I and W apart: what W reads stays until W
};

/// What a stage has besides tokens and loss, and what of its forward is done again. An input and an output
/// gradient come from outside and are bound to a set (Stash::bind); an output and an input gradient live in
/// the set until the next micro-batch takes it.
struct StageDemand {
  bool has_input = false;   ///< its first layer reads another stage's output
  bool has_output = false;  ///< another stage reads its last layer's output
  bool overlaps = false;    ///< a forward of one micro-batch runs between the segments of another's backward
  RecomputePlan recompute{};  ///< in training
};

/// Decides where in memory the layers of a stage keep what they need for one micro-batch. There is one block
/// of memory for each region:
/// - kept: for each micro-batch between its forward and its backward, the entries of lifetime input and
/// weight
///   and the layers' inputs;
/// - deferred: for each such micro-batch, the entries of lifetime backward_weight (split mode only);
/// - forward_scratch, backward_scratch: one each, shared by all layers in turn;
/// - recomputed: one, shared by all groups of layers that repeat their forward, as large as the largest
/// group's
///   entries that are not kept;
/// - session: one for each stash, keys and values.
/// Where a forward runs between the segments of a backward, a repeated forward has a scratch and a recomputed
/// region of its own.
class StashLayout {
 public:
  enum Region { kept, deferred, forward_scratch, backward_scratch, recomputed, session, kRegions };

  struct Address {
    DType dtype = DType::f32;
    Shape shape;
    Region region = kept;
    std::size_t offset = 0;
  };
  struct LayerAddresses {
    Address x, y, dx, dy;
    std::vector<Address> entries;
    std::vector<std::string> names;  // of the entries
    std::vector<bool> repeats;       // see Frame
    bool repeats_output = true;
  };

  /// Asks every layer for its plan. `width` is H.
  StashLayout(const std::vector<Layer*>& layers, const BatchShape& shape, StashMode mode, std::int64_t width,
              StageDemand demand = {});

  const BatchShape& shape() const noexcept { return shape_; }
  StashMode mode() const noexcept { return mode_; }
  const RecomputePlan& recompute() const noexcept { return demand_.recompute; }
  const LayerAddresses& layer(std::size_t index) const { return layers_[index]; }
  std::size_t num_layers() const noexcept { return layers_.size(); }
  std::size_t bytes(Region region) const { return bytes_[region]; }
  /// Copies of a region with that many micro-batches in flight.
  std::size_t copies(Region region, int in_flight) const;
  /// Whether a repeated forward has regions that the first one does not use.
  bool separates() const { return demand_.overlaps && bytes_[recomputed] > 0; }
  /// From forward to backward, of one micro-batch.
  std::size_t bytes_of_microbatch() const { return bytes_[kept] + bytes_[deferred]; }
  /// With `in_flight` micro-batches kept at once, session included.
  std::size_t total_bytes(int in_flight) const;
  /// Memory besides that all layers share, see StashPlan.
  std::size_t shared_bytes() const { return shared_bytes_; }

 private:
  Region region_of(Lifetime lifetime) const;
  bool repeats(std::size_t index) const { return recompute_of(index).repeats; }
  bool keeps_input(std::size_t index) const { return recompute_of(index).keeps_input; }
  const LayerRecompute& recompute_of(std::size_t index) const;
  void place_boundaries(std::int64_t width);
  void place_ends(std::int64_t width);
  void place_repeated_input(std::size_t index, std::int64_t width);
  void place_entries(std::size_t index, const StashPlan& plan);
  Address address_of(std::size_t index, const StashPlan::Declaration& entry);
  Address take(Region region, DType dtype, const Shape& shape);

  BatchShape shape_;
  StashMode mode_;
  StageDemand demand_;
  std::vector<LayerAddresses> layers_;
  std::array<std::size_t, kRegions> next_{};   // first free byte
  std::array<std::size_t, kRegions> bytes_{};  // high-water mark
  std::size_t shared_bytes_ = 0;
};

/// The memory behind a layout: `in_flight` sets of the kept and deferred blocks, the scratch, one session.
class Stash {
 public:
  Stash(Device& device, StashLayout layout, int in_flight);
  /// Shares the session entries of `session`, whose layout must have the same cache length; it must outlive
  /// this.
  Stash(Device& device, StashLayout layout, const Stash& session);

  const StashLayout& layout() const noexcept { return layout_; }
  int in_flight() const noexcept { return in_flight_; }
  /// The frame of layer `index` for the micro-batch in set `set`, in its first forward and in all that
  /// follows: two only where the layout separates them.
  Frame& forward_frame(std::size_t index, int set) { return frames_.front()[at(set)][index]; }
  Frame& frame(std::size_t index, int set) { return frames_.back()[at(set)][index]; }
  /// Input [T, H] and gradient of the output [T, H] of the micro-batch in `set`; empty where a stage has
  /// none.
  void bind(int set, TensorView input, TensorView output_gradient);
  TensorView output(int set) const { return frames_.back()[at(set)].back().y; }
  TensorView input_gradient(int set) const { return frames_.back()[at(set)].front().dx; }
  /// The entry that the layer declared under this name; empty when it has none.
  TensorView find(std::size_t layer, std::string_view name, int set) const;
  std::size_t bytes() const noexcept { return memory_.capacity(); }

 private:
  Stash(Device& device, StashLayout layout, int in_flight, const Stash* session);
  static std::size_t at(int set) { return static_cast<std::size_t>(set); }
  /// Which copy of the regions that walks share.
  enum class Copy { first_forward, backward };
  TensorView view(const StashLayout::Address& address, int set, Copy copy) const;
  Frame make_frame(std::size_t index, int set, Copy copy) const;
  void make_frames(Copy copy);

  StashLayout layout_;
  int in_flight_;
  Arena memory_;
  std::array<char*, StashLayout::kRegions> base_{};
  std::vector<std::vector<std::vector<Frame>>>
      frames_;  // [copy][set][layer], made once: walks allocate nothing
};

}  // namespace caravan
