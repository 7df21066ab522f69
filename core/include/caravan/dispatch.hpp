#pragma once

#include <cstdint>

#include "caravan/comm.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

/// The router's result for one micro-batch, on the device.
struct Routing {
  TensorView experts;    ///< [T, K] i32
  TensorView weights;    ///< [T, K] f32
  TensorView offsets;    ///< [E+1] i32 rows of each expert among the rows that this rank sends
  TensorView row_of;     ///< [T, K] i32
  TensorView choice_of;  ///< [R] i32
};

/// Brings rows to the ranks that hold their experts, and back. Plugin kind "dispatch". Dispatch and combine
/// are each other's backward over the same routing.
class Dispatcher {
 public:
  static constexpr const char* kKind = "dispatch";
  static constexpr std::uint32_t kKindVersion = 1;
  virtual ~Dispatcher() = default;

  /// Experts that this rank holds.
  virtual std::int64_t local_experts(std::int64_t experts) const = 0;
  /// The most rows that can arrive when every rank sends `rows`.
  virtual std::int64_t receive_bound(std::int64_t rows) const = 0;
  /// True: received rows and offsets are the sent ones, so both may share memory and nothing is posted.
  virtual bool in_place() const = 0;
  /// sent [R, H] sorted by expert → received [receive_bound, H] sorted by local expert.
  virtual Ticket post_dispatch(const Routing& routing, TensorView sent, TensorView received) = 0;
  /// The way back, in the order in which `sent` was.
  virtual Ticket post_combine(const Routing& routing, TensorView rows, TensorView returned) = 0;
  virtual void wait(Ticket& ticket) = 0;
};

}  // namespace caravan
