#include "core/run/group_exchange.hpp"

#include <exception>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/log.hpp"

namespace caravan {

GroupExchange::Exchange::Exchange(GroupExchange& owner, std::string_view what, Lane lane, Action start,
                                  Action finish)
    : owner_(owner),
      name_(std::string(what) + " " + owner.group_.name),
      lane_(lane),
      start_(start),
      finish_(finish) {}

GroupExchange::GroupExchange(Device& device, ParameterStore& store, const ParameterGroup& group,
                             Communicator& ranks, RepeatedGradients& repeated, WeightRoom& room)
    : device_(device),
      store_(store),
      group_(group),
      ranks_(ranks),
      repeated_(repeated),
      room_(room),
      gather_(*this, "gather of", Lane::shard, &GroupExchange::start_gather, &GroupExchange::finish_gather),
      prepare_(*this, "gradients of", Lane::compute, &GroupExchange::start_prepare,
               &GroupExchange::start_prepare),
      reduce_(*this, "reduction of", Lane::shard, &GroupExchange::start_reduction,
              &GroupExchange::finish_reduction),
      reduce_last_(*this, "reduction of", Lane::shard, &GroupExchange::start_reduction,
                   &GroupExchange::finish_last_reduction) {}

GroupExchange::~GroupExchange() {
  if (!early_gather_.pending() || std::uncaught_exceptions() > 0) return;
  try {
    ranks_.wait(early_gather_);
  } catch (const Error& error) {
    log_local(LogLevel::error, "a gather that nobody came for: " + error.message());
  }
}

void GroupExchange::gather_early() {
  CARAVAN_EXPECT(room_.holder == nullptr);
  room_.holder = this;
  early_gather_ = gather_weights();
}

void GroupExchange::weights_changed() {
  if (room_.holder != this) return;
  ranks_.wait(early_gather_);
  room_.holder = nullptr;
}

void GroupExchange::start_step(GradientReducer* replicas) {
  replicas_ = replicas;
  is_first_ = true;
  stages_left_ = stages_;
  if (!group_.shares_gradient_room && group_.is_trained()) store_.start_gradients(device_, group_);
}

void GroupExchange::unshard() {
  if (Ticket ticket = post_gather(); ticket.pending()) planned_gather_ = std::move(ticket);
}

void GroupExchange::require() {
  if (!group_.is_divided()) return;
  CARAVAN_EXPECT(room_.holder == this);
  if (planned_gather_.pending()) wait(planned_gather_);
}

void GroupExchange::stage_is_done() {
  if (--stages_left_ == 0) planned_reduction_ = post_reduction();
}

void GroupExchange::finish_step() {
  if (group_.shares_gradient_room || group_.sums_in_last_walk || !group_.is_trained()) return;
  CARAVAN_EXPECT(stages_left_ == 0);
  finish_reduction(planned_reduction_);
  announce();
}

Ticket GroupExchange::post_gather() {
  if (!group_.is_divided() || (room_.holder == this && !early_gather_.pending())) return {};
  CARAVAN_EXPECT(!room_.holder || room_.holder == this || !room_.holder->is_gathered_early());
  room_.holder = this;
  ++traffic_.gathers;
  begins(ActionKind::unshard, gather_);
  Ticket ticket = early_gather_.pending() ? std::move(early_gather_) : gather_weights();
  is_posted(ticket);
  return ticket;
}

Ticket GroupExchange::post_reduction() {
  if (!group_.is_trained()) return {};
  store_.finish_gradients(device_, group_);
  repeated_.sum(group_.parameters);
  if (!group_.sums_stretches()) return {};
  CARAVAN_EXPECT(is_first_ || !group_.sum.empty());
  ++traffic_.reductions;
  begins(ActionKind::reduce_gradients, reduce_);
  Ticket ticket = ranks_.post_reduce_scatter(group_.gradients, is_first_ ? group_.own_gradients : group_.sum,
                                             ReduceOp::sum);
  is_posted(ticket);
  return ticket;
}

void GroupExchange::begins(ActionKind kind, const Exchange& exchange) {
  CARAVAN_EXPECT(under_way_ == 0);
  if (recorder_) recorded_ = recorder_->exchange_begins(kind, Lane::shard, exchange.name());
}

void GroupExchange::is_posted(const Ticket& ticket) {
  under_way_ = ticket.id();
  if (!ticket.pending()) is_over();
}

void GroupExchange::is_over() {
  under_way_ = 0;
  if (recorded_) recorder_->exchange_is_over(*std::exchange(recorded_, std::nullopt));
}

void GroupExchange::wait(Ticket& ticket) {
  ranks_.wait(ticket);
  is_over();
}

void GroupExchange::finish_reduction(Ticket& ticket) {
  wait(ticket);
  if (!is_first_) device_.ops().add({group_.sum, group_.own_gradients});
  is_first_ = false;
}

void GroupExchange::finish_last_reduction(Run& run) {
  finish_reduction(run.pending);
  if (is_final_) announce();
}

void GroupExchange::announce() {
  if (replicas_ && !group_.sums_rows) replicas_->ready(group_.own_gradients);
}

void GroupExchange::progress() {
  if (under_way_ != 0 && ranks_.test(Ticket(under_way_))) is_over();
}

}  // namespace caravan
