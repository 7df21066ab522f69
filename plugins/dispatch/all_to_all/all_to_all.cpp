#include "plugins/dispatch/all_to_all/all_to_all.hpp"

#include <algorithm>
#include <utility>

namespace caravan::all_to_all {
namespace {

/// As a column of rows of one number.
TensorView as_column(const TensorView& view) {
  return view.reshape({view.count(), 1});
}

/// out[r] = rows[row_of[r]]
void reorder(Ops& ops, const TensorView& rows, const TensorView& row_of, const TensorView& out) {
  if (out.extent(0) > 0) ops.permute_forward({rows, row_of, {}, 1, out});
}

/// Of a step only the first time: its rows become NaN, so that later routers choose the same experts for all.
void note_first(Device& device, const TensorView& overflow, double rows) {
  double value = 0;
  device.copy_to_host(Lane::compute, &value, overflow.data, sizeof value);
  device.await(device.record(Lane::compute));
  if (value == 0) device.copy_from_host(Lane::compute, overflow.data, &rows, sizeof rows);
}

/// Every number of `rows` becomes NaN.
void lose(Device& device, const TensorView& rows) {
  const std::vector<std::uint8_t> all_ones(rows.bytes(), 0xff);  // a NaN of every type
  device.copy_from_host(Lane::compute, rows.data, all_ones.data(), all_ones.size());
}

/// Copies indices to the device.
void write(Device& device, const TensorView& to, std::span<const std::int32_t> from) {
  device.copy_from_host(Lane::compute, to.data, from.data(), from.size_bytes());
}

Sizes sizes_of(const Routing& routing, const Received& received) {
  return {.sent = routing.choice_of.count(),
          .received = received.rows.extent(0),
          .width = received.rows.extent(1),
          .dtype = received.rows.dtype,
          .score_side = routing.score_side};
}

}  // namespace

AllToAllDispatcher::AllToAllDispatcher(const Host& host, const Config& config)
    : alone_(host.mesh ? nullptr : make_single_communicator("experts")),
      group_(alone_ ? RankGroup(*alone_) : host.mesh->group(MeshAxis::ep)),
      ranks_(group_.host.size()),
      rank_(group_.host.rank()),
      room_(config.at("room").is_null() ? 0 : config.get_float("room")) {}

DispatchNeeds AllToAllDispatcher::needs(const DispatchSpec& spec) const {
  const Sizes sizes{.sent = spec.shape.rows() * spec.top_k,
                    .received = most_rows_received(spec, ranks_, room_),
                    .width = spec.width,
                    .dtype = spec.shape.compute,
                    .score_side = spec.score_side};
  return {.local_experts = spec.experts / ranks_,
          .first_expert = spec.experts / ranks_ * rank_,
          .most_received = sizes.received,
          .handle_bytes = bytes_of<Handle>(sizes),
          .scratch_bytes = bytes_of<Scratch>(sizes),
          .weights_travel = spec.score_side == ScoreSide::output};
}

void AllToAllDispatcher::exchange_counts(Device& device, const Routing& routing) {
  const std::int64_t count = routing.offsets.count();
  first_rows_.resize(static_cast<std::size_t>(ranks_ * count));
  const TensorView all(first_rows_.data(), DType::i32, {ranks_ * count});
  const TensorView own = all.rows(rank_ * count, (rank_ + 1) * count);
  device.copy_to_host(Lane::compute, own.data, routing.offsets.data, own.bytes());
  device.await(device.record(Lane::compute));
  std::vector<std::int32_t> sent(own.as<std::int32_t>(), own.as<std::int32_t>() + count);
  group_.host.all_gather(TensorView(sent.data(), DType::i32, {count}), all);
}

void AllToAllDispatcher::plan(Run& run, const Routing& routing, const Received& received) {
  exchange_counts(run.device, routing);
  RowPlan& plan = plans_[received.handle.data];
  plan.make({.ranks = ranks_,
             .rank = rank_,
             .experts = routing.offsets.count() - 1,
             .most_received = received.rows.extent(0)},
            first_rows_);
  if (plan.is_overfull() && run.pass == Pass::first)
    note_first(run.device, run.overflow, static_cast<double>(plan.without_room()) / ranks_);
  const Handle handle = views_in<Handle>(received.handle.data, sizes_of(routing, received));
  write(run.device, handle.arrival_of, plan.arrival_of());
  write(run.device, handle.place_of, plan.place_of());
}

AllToAllDispatcher::Exchange AllToAllDispatcher::exchange(const Routing& routing,
                                                          const Received& received) const {
  const Sizes sizes = sizes_of(routing, received);
  return {plans_.at(received.handle.data), views_in<Scratch>(received.scratch.data, sizes),
          views_in<Handle>(received.handle.data, sizes)};
}

Ticket AllToAllDispatcher::post_rows(const RowPlan& plan, Way way, const TensorView& own,
                                     const TensorView& at_experts) {
  return way == Way::to_experts
             ? group_.tensors.post_all_to_all_v(own, plan.sent(), at_experts, plan.received())
             : group_.tensors.post_all_to_all_v(at_experts, plan.received(), own, plan.sent());
}

/// `scores`: at the experts, as their rows arrive; those of the senders are in the scratch.
Ticket AllToAllDispatcher::post(const Exchange& exchange, Way way, std::function<void()> finish,
                                const TensorView& scores) {
  auto posted = std::find_if(posted_.begin(), posted_.end(), [](const Posted& each) { return each.is_free; });
  if (posted == posted_.end()) posted = posted_.emplace(posted_.end());
  posted->is_free = false;
  posted->finish = std::move(finish);
  posted->rows = post_rows(exchange.plan, way, exchange.leaving(), exchange.arrived());
  if (!scores.empty()) {
    const TensorView own = exchange.scratch.scores.rows(0, exchange.plan.rows_sent());
    posted->scores = post_rows(exchange.plan, way, own, scores.rows(0, exchange.plan.rows_received()));
  }
  return Ticket(static_cast<std::uint64_t>(posted - posted_.begin()) + 1);
}

void AllToAllDispatcher::wait(Run&, Ticket& ticket) {
  Posted& posted = posted_.at(ticket.id() - 1);
  group_.tensors.wait(posted.rows);
  if (posted.scores.pending()) group_.tensors.wait(posted.scores);
  std::exchange(posted.finish, {})();
  posted.is_free = true;
  ticket = Ticket{};
}

Ticket AllToAllDispatcher::post_dispatch(Run& run, const Routing& routing, const Received& received,
                                         TensorView x) {
  if (run.makes_kept()) plan(run, routing, received);
  const Exchange now = exchange(routing, received);
  write(run.device, received.offsets, now.plan.offsets());
  sorted_rows::permute(run.ops, routing, x, now.scratch.sent);
  TensorView scores;
  if (routing.score_side == ScoreSide::output) {
    reorder(run.ops, as_column(routing.weights), routing.choice_of, now.scratch.scores);
    scores = as_column(received.weights);
  }
  return post(
      now, Way::to_experts,
      [=, &ops = run.ops] {
        reorder(ops, now.scratch.received, now.arrival_of(), received.rows.rows(0, now.plan.rows_received()));
      },
      scores);
}

Ticket AllToAllDispatcher::post_combine(Run& run, const Routing& routing, const Received& received,
                                        const Combine& args) {
  const Exchange now = exchange(routing, received);
  reorder(run.ops, args.rows, now.place_of(), now.arrived());
  return post(now, Way::back, [=, &run] {
    if (now.plan.is_overfull()) lose(run.device, now.scratch.sent);
    sorted_rows::combine(run.ops, routing, {now.scratch.sent, args.base, args.y});
  });
}

/// Rows of dy travel as they are: where scores are on the output their experts multiply, who know what they
/// made of the row, and so the gradient of its score.
Ticket AllToAllDispatcher::post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                                                 const CombineGradient& args) {
  const Exchange now = exchange(routing, received);
  run.ops.combine_backward({args.dy, {}, routing.row_of, {}, now.scratch.sent, {}});
  return post(now, Way::to_experts, [=, &ops = run.ops] {
    if (now.plan.rows_received() == 0) return;
    const bool on_output = routing.score_side == ScoreSide::output;
    const std::int64_t rows = now.plan.rows_received();
    ops.combine_backward({now.arrived(), on_output ? args.rows : TensorView{}, as_column(now.place_of()),
                          on_output ? as_column(received.weights.rows(0, rows)) : TensorView{}, received.rows,
                          on_output ? now.handle.dscores.rows(0, rows) : TensorView{}});
  });
}

Ticket AllToAllDispatcher::post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                                  const DispatchGradient& args) {
  const Exchange now = exchange(routing, received);
  reorder(run.ops, received.rows, now.place_of(), now.arrived());
  return post(
      now, Way::back,
      [=, &run] {
        if (now.plan.is_overfull()) lose(run.device, now.scratch.sent);
        sorted_rows::permute_gradient(run.ops, routing, args, now.scratch.sent);
        if (routing.score_side == ScoreSide::output)
          run.ops.combine_forward(
              {now.scratch.scores, as_column(routing.row_of), {}, {}, as_column(args.dweights)});
      },
      routing.score_side == ScoreSide::output ? now.handle.dscores : TensorView{});
}

}  // namespace caravan::all_to_all

CARAVAN_PLUGIN("dispatch-all_to_all", CARAVAN_VERSION, "Apache-2.0",
               "Expert dispatch by all-to-all exchanges",
               caravan::component<caravan::all_to_all::AllToAllDispatcher>());
