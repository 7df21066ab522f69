#pragma once

#include <array>
#include <deque>
#include <string>

#include "jobs/check/dispatch_oracle.hpp"
#include "jobs/check/guarded_memory.hpp"

namespace caravan::jobs {

/// The four of a micro-batch, in their order.
enum class Exchange { dispatch, combine, combine_gradient, dispatch_gradient };
inline constexpr Exchange kExchanges[] = {Exchange::dispatch, Exchange::combine, Exchange::combine_gradient,
                                          Exchange::dispatch_gradient};

/// Micro-batches of one case on a dispatcher, with the memory that a layer would give it: filled with `byte`
/// wherever the dispatcher writes. The first has a base of the sum, the second none, of the third it is the
/// sum itself; the second's gradient is added to.
class DispatchTrial {
 public:
  struct Place {
    int rank = 0, ranks = 1;
  };
  static constexpr int kMicrobatches = 3;

  DispatchTrial(Device& device, Dispatcher& dispatcher, const DispatchCase& dispatch, Place place,
                DType compute, unsigned char byte);

  void post(Exchange exchange, int microbatch, Pass pass = Pass::first);
  /// Waits for it and compares what it gave.
  void wait(Exchange exchange, int microbatch);
  void run(Exchange exchange, int microbatch, Pass pass = Pass::first) {
    post(exchange, microbatch, pass);
    wait(exchange, microbatch);
  }
  /// Bytes that nobody may write, and inputs, which stay as they were.
  void check_memory();

  /// What was wrong with an exchange; empty: nothing.
  const std::string& wrong(Exchange exchange) const { return wrong_[static_cast<std::size_t>(exchange)]; }
  const std::string& wrong_memory() const { return wrong_memory_; }
  /// Rows that the dispatcher says it had no room for.
  double without_room() const;

 private:
  struct Slot {
    DispatchOracle oracle;
    Routing routing;
    Received received;
    TensorView x, dy, base, y, dx, dweights, results;
    Arrived arrived;
    std::array<Ticket, 4> tickets;
  };
  void take(Slot& slot);
  void fill_inputs(const Slot& slot);
  Ticket post(Slot& slot, int microbatch, Exchange exchange);
  Ticket post_dispatch(Slot& slot);
  Ticket post_combine(Slot& slot, int microbatch);
  Ticket post_combine_gradient(Slot& slot);
  Ticket post_dispatch_gradient(Slot& slot, int microbatch);
  std::string compare(Exchange exchange, Slot& slot, int microbatch);
  std::int64_t rows_of_experts(const Slot& slot) const;
  std::vector<float> own(std::string_view name, int microbatch) const;
  std::vector<float> of_arrived(std::string_view name, const Slot& slot) const;

  Dispatcher& dispatcher_;
  DispatchCase case_;
  Place place_;
  DispatchSpec spec_;
  DispatchNeeds needs_;
  unsigned char byte_;
  GuardedMemory memory_;
  TensorView overflow_;
  Run run_;
  std::deque<Slot> slots_;
  std::array<std::string, 4> wrong_;
  std::string wrong_memory_;
};

}  // namespace caravan::jobs
