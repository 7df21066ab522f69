#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "caravan/comm.hpp"
#include "caravan/layer.hpp"
#include "caravan/registry.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

/// Which side of its expert a token's score multiplies.
enum class ScoreSide { input, output };

/// The router's result for one micro-batch, on the device. The choices are sorted by expert as the router did
/// it; a dispatcher may use that order or its own. Choices beyond an expert's capacity are dropped: they have
/// no row, and nobody sends them.
struct Routing {
  TensorView experts;    ///< [T, K] i32
  TensorView weights;    ///< [T, K] f32 scores
  TensorView offsets;    ///< [E+1] i32 first row of each expert in this order, of this rank's choices
  TensorView row_of;     ///< [T, K] i32 row of (token, k) in this order, −1 where it is dropped
  TensorView choice_of;  ///< [R] i32 token·K + k of a row, R = T·K; −1 from offsets[E] on
  ScoreSide score_side = ScoreSide::input;
};

/// What a layer will ask of its dispatcher, for one shape of micro-batch.
struct DispatchSpec {
  std::int64_t experts = 0;  ///< E, of all ranks together
  std::int64_t top_k = 1;    ///< K
  std::int64_t width = 0;    ///< H
  ScoreSide score_side = ScoreSide::input;
  std::int64_t capacity = 0;  ///< the most rows of one sequence that an expert takes; 0: all
  BatchShape shape{};         ///< of this rank
};

/// What a dispatcher needs of the layer. What is not about rows or bytes is the same for every shape.
struct DispatchNeeds {
  std::int64_t local_experts = 0;  ///< L: this rank's products are with experts [first_expert, + L)
  std::int64_t first_expert = 0;
  std::int64_t most_received = 0;  ///< M: rows that can arrive here, padding included
  std::size_t handle_bytes = 0;    ///< of Received::handle
  std::size_t scratch_bytes = 0;   ///< of Received::scratch
  std::size_t window_bytes = 0;    ///< memory that all layers share besides, such as a window
  bool keeps_order = false;     ///< received rows are Routing's: Received::offsets is Routing::offsets itself
  bool weights_travel = false;  ///< Received::weights has memory
};

/// The most rows that can come to one of `ranks` ranks with equal shares of the experts: every token of all,
/// with as many choices as there are experts here, and of each sequence no more than they take; with `room`
/// other than 0 no more than that multiple of what even routing brings.
std::int64_t most_rows_received(const DispatchSpec& spec, std::int64_t ranks, double room);

/// What arrives at the experts of this rank for one micro-batch, in the order of these experts: rows
/// [offsets[l], offsets[l+1]) belong to expert first_expert + l. Rows from offsets[L] on are never read.
/// Rows that pad an expert are zero, in forward and in backward.
struct Received {
  TensorView rows;     ///< [M, H] of the compute type; of gradients in backward
  TensorView weights;  ///< [M] f32 score of each row, from dispatch to its backward; for the dispatcher alone
  TensorView offsets;  ///< [L+1] i32, on the device: no count of rows needs the host
  TensorView handle;   ///< [handle_bytes] u8: where rows went, from dispatch to its backward
  TensorView scratch;  ///< [scratch_bytes] u8 from a post until its wait
};

/// y[t] = base[t] + Σ_k rows of (t, k), times the score where scores are on the output.
struct Combine {
  TensorView rows;  ///< [M, H] results of the experts
  TensorView base;  ///< [T, H] or empty (0); may be `y`
  TensorView y;     ///< [T, H]
};

/// The backward of combine. Received::rows: gradient of `rows`, written.
struct CombineGradient {
  TensorView dy;        ///< [T, H]
  TensorView rows;      ///< [M, H] as combine read them, where scores are on the output; else empty
  TensorView dweights;  ///< [T, K] f32; see Dispatcher
};

/// The backward of dispatch. Received::rows: gradient of the received rows, read.
struct DispatchGradient {
  TensorView x;             ///< [T, H] as dispatch read it
  TensorView dx;            ///< [T, H]
  bool accumulate = false;  ///< dx is added to
  TensorView dweights;      ///< [T, K] f32; see Dispatcher
};

/// Brings rows to the ranks that hold their experts, and back. Plugin kind "dispatch".
///
/// A micro-batch makes four exchanges over one routing: dispatch and combine in forward, and each one's
/// backward, which is the other with gradients. A post may read and write its views until its wait, and
/// returns a ticket that is not pending when everything is posted on the compute lane already. Scores are
/// applied by the dispatcher, at the sender or at the expert; their gradient `dweights` is written when the
/// backward of dispatch is over, by whichever of the two backward exchanges has it.
///
/// Where run.makes_kept(), at the post, a dispatch writes the handle. In other repeated forwards and in
/// backward it holds what that dispatch wrote, so that rows go where they went. Where more rows than
/// `most_received` would come, run.overflow becomes more than 0 and their tokens' rows come back as NaN, so
/// that the step fails and updates nothing. Its sum over ranks is shown as the rows without room.
class Dispatcher {
 public:
  static constexpr const char* kKind = "dispatch";
  static constexpr std::uint32_t kKindVersion = 3;
  virtual ~Dispatcher() = default;

  /// How rows travel, for reports: "through memory in common". Empty: as other tensors do.
  virtual std::string row_path() const { return {}; }
  /// Asked often, and for ranks that are not running: it neither allocates nor communicates.
  virtual DispatchNeeds needs(const DispatchSpec& spec) const = 0;
  /// x [T, H] → received.rows, weights, offsets, handle.
  virtual Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) = 0;
  virtual Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                              const Combine& args) = 0;
  virtual Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                                       const CombineGradient& args) = 0;
  virtual Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                        const DispatchGradient& args) = 0;
  /// Afterwards the compute lane may use what the exchange wrote.
  virtual void wait(Run& run, Ticket& ticket) = 0;
};

/// A dispatcher, and how it came to be the one.
struct ChosenDispatcher {
  std::string name;  ///< of the plugin
  Made<Dispatcher> made;
  std::string refused;  ///< of `auto`: better ones that do not work here, each with its reason; or empty
};

/// The dispatcher that `wanted` asks for: the name of a plugin, a map of `name` and the plugin's keys, or
/// `auto`: `local` where every rank holds all experts, else the best of those that bring rows to other ranks
/// and work here. ConfigError and PluginError where there is none.
ChosenDispatcher choose_dispatcher(const Host& host, const Config& wanted);

/// The usual permutation: this rank's rows in Routing's order. Scores are applied here. What each exchange of
/// a dispatcher does before its rows travel, or after they have; `rows` and `drows` are [R, H].
namespace sorted_rows {

/// rows = x, each choice its own.
void permute(Ops& ops, const Routing& routing, TensorView x, TensorView rows);
/// y from the experts' results.
void combine(Ops& ops, const Routing& routing, const Combine& args);
/// drows from dy; with scores on the output also dweights.
void combine_gradient(Ops& ops, const Routing& routing, const CombineGradient& args, TensorView drows);
/// dx from drows; with scores on the input also dweights.
void permute_gradient(Ops& ops, const Routing& routing, const DispatchGradient& args, TensorView drows);

}  // namespace sorted_rows

}  // namespace caravan
