#include "jobs/check/dispatch_trial.hpp"

#include <algorithm>
#include <limits>

#include "caravan/ops.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kNumbers = DispatchCase::kWidth;  // of a row

bool has_base(int microbatch) {
  return microbatch != 1;
}
bool is_base_the_sum(int microbatch) {
  return microbatch == 2;
}
bool accumulates(int microbatch) {
  return microbatch == 1;
}

void note(std::string& first, std::string seen) {
  if (first.empty()) first = std::move(seen);
}

/// x [T, H] of a rank.
std::vector<float> token_rows(const RankChoices& choices) {
  std::vector<float> rows;
  for (std::int64_t token = 0; token < choices.tokens; ++token)
    for (std::int64_t column = 0; column < kNumbers; ++column)
      rows.push_back(token_value({choices.microbatch, choices.rank, token}, column));
  return rows;
}

}  // namespace

DispatchTrial::DispatchTrial(Device& device, Dispatcher& dispatcher, const DispatchCase& dispatch,
                             Place place, DType compute, unsigned char byte)
    : dispatcher_(dispatcher),
      case_(dispatch),
      place_(place),
      spec_(dispatch.spec(place.rank, place.ranks, compute)),
      needs_(dispatcher.needs(spec_)),
      byte_(byte),
      memory_(device),
      overflow_(memory_.take("the count of rows without room", DType::f64, {1})),
      run_{.device = device, .ops = device.ops(), .shape = spec_.shape, .overflow = overflow_} {
  memory_.fill(overflow_, 0);
  for (int microbatch = 0; microbatch < kMicrobatches; ++microbatch) {
    slots_.push_back(
        {DispatchOracle(dispatch, place.ranks, microbatch), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}});
    take(slots_.back());
    fill_inputs(slots_.back());
  }
}

void DispatchTrial::take(Slot& slot) {
  const std::int64_t T = spec_.shape.rows(), K = spec_.top_k, H = spec_.width, M = needs_.most_received;
  const DType compute = spec_.shape.compute;
  const auto bytes = [&](const char* name, std::size_t count) {
    return memory_.take(name, DType::u8, {static_cast<std::int64_t>(count)});
  };
  slot.routing = {memory_.take("the choices", DType::i32, {T, K}),
                  memory_.take("the scores", DType::f32, {T, K}),
                  memory_.take("the router's offsets", DType::i32, {spec_.experts + 1}),
                  memory_.take("the rows of choices", DType::i32, {T, K}),
                  memory_.take("the choices of rows", DType::i32, {T * K}),
                  spec_.score_side};
  slot.received = {memory_.take("the received rows", compute, {M, H}),
                   memory_.take("the received scores", DType::f32, {needs_.weights_travel ? M : 0}),
                   needs_.keeps_order
                       ? slot.routing.offsets
                       : memory_.take("the received offsets", DType::i32, {needs_.local_experts + 1}),
                   bytes("the handle", needs_.handle_bytes), bytes("the scratch", needs_.scratch_bytes)};
  slot.x = memory_.take("x", compute, {T, H});
  slot.dy = memory_.take("dy", compute, {T, H});
  slot.base = memory_.take("the base", compute, {T, H});
  slot.y = memory_.take("y", compute, {T, H});
  slot.dx = memory_.take("dx", compute, {T, H});
  slot.dweights = memory_.take("the gradients of scores", DType::f32, {T, K});
  slot.results = memory_.take("the results", compute, {M, H});
}

void DispatchTrial::fill_inputs(const Slot& slot) {
  const RankChoices& choices = slot.oracle.of_rank(place_.rank);
  memory_.write(slot.routing.experts, choices.experts);
  memory_.write(slot.routing.weights, choices.weights);
  memory_.write(slot.routing.offsets, choices.offsets);
  memory_.write(slot.routing.row_of, choices.row_of);
  memory_.write(slot.routing.choice_of, choices.choice_of);
  memory_.write(slot.x, token_rows(choices));
  memory_.write(slot.dy, own("dy", choices.microbatch));
  memory_.write(slot.base, own("base", choices.microbatch));
}

/// Of this rank's tokens, [T, H].
std::vector<float> DispatchTrial::own(std::string_view name, int microbatch) const {
  std::vector<float> rows;
  for (std::int64_t token = 0; token < spec_.shape.rows(); ++token)
    for (std::int64_t column = 0; column < kNumbers; ++column)
      rows.push_back(small_value(name, {microbatch, place_.rank, token}, column));
  return rows;
}

std::int64_t DispatchTrial::rows_of_experts(const Slot& slot) const {
  const std::int64_t end = memory_.read_integers(slot.received.offsets).back();
  return std::clamp<std::int64_t>(end, 0, needs_.most_received);
}

/// [M, H] numbers of the rows that arrived; zeros where they pad an expert, behind them what nobody may read.
std::vector<float> DispatchTrial::of_arrived(std::string_view name, const Slot& slot) const {
  std::vector<float> rows(static_cast<std::size_t>(needs_.most_received * kNumbers),
                          std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t row = 0; row < rows_of_experts(slot); ++row) {
    const auto& sent = slot.arrived[static_cast<std::size_t>(row)];
    for (std::int64_t column = 0; column < kNumbers; ++column)
      rows[static_cast<std::size_t>(row * kNumbers + column)] = sent ? small_value(name, *sent, column) : 0;
  }
  return rows;
}

Ticket DispatchTrial::post_dispatch(Slot& slot) {
  memory_.fill(slot.received.rows, byte_);
  if (!needs_.keeps_order) memory_.fill(slot.received.offsets, byte_);
  if (run_.makes_kept()) {
    memory_.fill(slot.received.handle, byte_);
    memory_.fill(slot.received.weights, byte_);
  }
  return dispatcher_.post_dispatch(run_, slot.routing, slot.received, slot.x);
}

Ticket DispatchTrial::post_combine(Slot& slot, int microbatch) {
  memory_.write(slot.results, of_arrived("result", slot));
  if (is_base_the_sum(microbatch))
    memory_.write(slot.y, own("base", microbatch));
  else
    memory_.fill(slot.y, byte_);
  const TensorView base = is_base_the_sum(microbatch) ? slot.y : slot.base;
  return dispatcher_.post_combine(run_, slot.routing, slot.received,
                                  {slot.results, has_base(microbatch) ? base : TensorView{}, slot.y});
}

Ticket DispatchTrial::post_combine_gradient(Slot& slot) {
  memory_.fill(slot.received.rows, byte_);
  memory_.fill(slot.dweights, byte_);
  const bool on_output = spec_.score_side == ScoreSide::output;
  return dispatcher_.post_combine_gradient(run_, slot.routing, slot.received,
                                           {slot.dy, on_output ? slot.results : TensorView{}, slot.dweights});
}

Ticket DispatchTrial::post_dispatch_gradient(Slot& slot, int microbatch) {
  memory_.write(slot.received.rows, of_arrived("drow", slot));
  if (accumulates(microbatch))
    memory_.write(slot.dx, own("dx", microbatch));
  else
    memory_.fill(slot.dx, byte_);
  return dispatcher_.post_dispatch_gradient(
      run_, slot.routing, slot.received,
      {.x = slot.x, .dx = slot.dx, .accumulate = accumulates(microbatch), .dweights = slot.dweights});
}

Ticket DispatchTrial::post(Slot& slot, int microbatch, Exchange exchange) {
  memory_.fill(slot.received.scratch, byte_);
  switch (exchange) {
    case Exchange::dispatch:
      return post_dispatch(slot);
    case Exchange::combine:
      return post_combine(slot, microbatch);
    case Exchange::combine_gradient:
      return post_combine_gradient(slot);
    case Exchange::dispatch_gradient:
      return post_dispatch_gradient(slot, microbatch);
  }
  return {};
}

void DispatchTrial::post(Exchange exchange, int microbatch, Pass pass) {
  Slot& slot = slots_[static_cast<std::size_t>(microbatch)];
  run_.pass = pass;
  slot.tickets[static_cast<std::size_t>(exchange)] = post(slot, microbatch, exchange);
}

void DispatchTrial::wait(Exchange exchange, int microbatch) {
  Slot& slot = slots_[static_cast<std::size_t>(microbatch)];
  Ticket& ticket = slot.tickets[static_cast<std::size_t>(exchange)];
  if (ticket.pending()) dispatcher_.wait(run_, ticket);
  note(wrong_[static_cast<std::size_t>(exchange)], compare(exchange, slot, microbatch));
}

std::string DispatchTrial::compare(Exchange exchange, Slot& slot, int microbatch) {
  switch (exchange) {
    case Exchange::dispatch:
      return slot.oracle.wrong_arrivals(needs_, memory_.read_integers(slot.received.offsets),
                                        memory_.read(slot.received.rows), slot.arrived);
    case Exchange::combine:
      return slot.oracle.wrong_sums(place_.rank, has_base(microbatch), memory_.read(slot.y));
    case Exchange::combine_gradient:
      return slot.oracle.wrong_row_gradients(memory_.read(slot.received.rows), slot.arrived,
                                             rows_of_experts(slot));
    case Exchange::dispatch_gradient:
      return slot.oracle.wrong_gradients(place_.rank, accumulates(microbatch), memory_.read(slot.dx),
                                         memory_.read(slot.dweights));
  }
  return "";
}

void DispatchTrial::check_memory() {
  note(wrong_memory_, memory_.trespass());
  for (const Slot& slot : slots_) {
    const RankChoices& choices = slot.oracle.of_rank(place_.rank);
    const bool is_same = memory_.read(slot.x) == token_rows(choices) &&
                         memory_.read(slot.dy) == own("dy", choices.microbatch) &&
                         memory_.read(slot.base) == own("base", choices.microbatch);
    if (!is_same) note(wrong_memory_, "an exchange writes x, dy or the base, which it may only read");
    const Routing& routing = slot.routing;
    if (memory_.read_integers(routing.experts) != choices.experts ||
        memory_.read(routing.weights) != choices.weights ||
        memory_.read_integers(routing.offsets) != choices.offsets ||
        memory_.read_integers(routing.row_of) != choices.row_of ||
        memory_.read_integers(routing.choice_of) != choices.choice_of)
      note(wrong_memory_, "an exchange writes the router's result, which it may only read");
  }
}

double DispatchTrial::without_room() const {
  double rows = 0;
  run_.device.copy_to_host(Lane::compute, &rows, overflow_.data, sizeof rows);
  run_.device.synchronize();
  return rows;
}

}  // namespace caravan::jobs
