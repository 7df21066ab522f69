#include "plugins/dispatch/deepep/deepep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"

namespace caravan::deepep {
namespace {

constexpr double kLongestTimeout = 1e6;  // seconds: 11 days
constexpr int kMostRanks = 64;           // whose rows a GPU's kernel takes in one call

}  // namespace

DeepEpDispatcher::DeepEpDispatcher(const Host& host, const Config& config)
    : mesh_(host.mesh),
      alone_(host.mesh ? nullptr : make_single_communicator("experts")),
      members_(alone_ ? *alone_ : host.mesh->group(MeshAxis::ep).tensors),
      ranks_(members_.size()),
      rank_(members_.rank()),
      room_(config.at("room").is_null() ? 0 : config.get_float("room")),
      timeout_s_(config.get_float("timeout")) {
  CARAVAN_CHECK(
      timeout_s_ <= kLongestTimeout, ConfigError,
      config.where() + fmt::format(": timeout={:g} s (must be at most {:g})", timeout_s_, kLongestTimeout));
  if (ranks_ == 1) return;
  std::string why = members_.why_no_window();
  if (why.empty() && host.device && host.device->memory() == Memory::device &&
      host.device->exchange_path().empty())
    why = fmt::format("tensors of device '{}' go through host memory", host.device->name());
  if (why.empty() && ranks_ > kMostRanks) why = fmt::format("{} ranks (it serves {})", ranks_, kMostRanks);
  CARAVAN_CHECK(why.empty(), CommError,
                "dispatch deepep: " + why + ". model.dispatch: all_to_all goes over any network");
}

DispatchNeeds DeepEpDispatcher::needs(const DispatchSpec& spec) const {
  const Sizes sizes{.ranks = ranks_,
                    .experts = spec.experts,
                    .sent = spec.shape.of_largest_rank().block_rows() * spec.top_k,
                    .received = most_rows_received(spec, ranks_, room_),
                    .width = spec.width,
                    .dtype = spec.shape.compute,
                    .score_side = spec.score_side};
  return {.local_experts = spec.experts / ranks_,
          .first_expert = spec.experts / ranks_ * rank_,
          .most_received = sizes.received,
          .handle_bytes = bytes_of<Handle>(sizes),
          .window_bytes = Landing::kAreas * (bytes_of<Table>(sizes) + bytes_of<LandingRows>(sizes)),
          .weights_travel = spec.score_side == ScoreSide::output};
}

Sizes DeepEpDispatcher::sizes_of(const Routing& routing, const Received& received) const {
  return {.ranks = ranks_,
          .experts = routing.offsets.count() - 1,
          .sent = routing.choice_of.count(),
          .received = received.rows.extent(0),
          .width = received.rows.extent(1),
          .dtype = received.rows.dtype,
          .score_side = routing.score_side};
}

Group& DeepEpDispatcher::group(Device& device) {
  const auto make = [&] { return new Group(device, members_, timeout_s_); };
  if (mesh_) return mesh_->keep<Group>(MeshAxis::ep, make);
  if (!own_group_) own_group_.reset(make());
  return *own_group_;
}

DeepEpDispatcher::Exchange DeepEpDispatcher::begin(Device& device, const Routing& routing,
                                                   const Received& received, bool ranks_meet) {
  const Sizes sizes = sizes_of(routing, received);
  Group& group = this->group(device);
  Landing& landing = group.landing;
  landing.reserve(bytes_of<Table>(sizes), bytes_of<LandingRows>(sizes));
  const int area = landing.begin(ranks_meet);
  return {group,
          sizes,
          views_in<Handle>(received.handle.data, sizes),
          area,
          views_in<Table>(landing.own_table(area), sizes),
          views_in<LandingRows>(landing.own_rows(area), sizes)};
}

/// The routers' counts of all ranks, and from them where all rows go.
void DeepEpDispatcher::place(Run& run, const Routing& routing, const Exchange& exchange,
                             const TensorView& offsets) {
  Landing& landing = exchange.group.landing;
  const Handle& handle = exchange.handle;
  const Pushed counts = pushed_counts(routing, exchange);
  PlaceRows args{.first_rows = exchange.table.first_rows,
                 .rank = rank_,
                 .to_rank = handle.to_rank,
                 .to_row = handle.to_row,
                 .offsets = offsets,
                 .kept_offsets = handle.offsets,
                 .back_rank = handle.back_rank,
                 .back_row = handle.back_row,
                 .arrived = handle.arrived,
                 .lost = handle.lost,
                 .overflow = run.pass == Pass::first ? run.overflow : TensorView{},
                 .meets_at = landing.next_meeting(),
                 .sent_parts = handle.sent,
                 .received_parts = handle.received};
  if (args.meets_at) {
    args.own_rows = routing.offsets;
    args.tables = counts.regions;
  } else {
    run.ops.push_rows(counts.args);
  }
  landing.meet(args.meets_at);
  run.ops.place_rows(args);
}

DeepEpDispatcher::Pushed DeepEpDispatcher::pushed_counts(const Routing& routing,
                                                         const Exchange& exchange) const {
  return pushed(exchange, exchange.table.first_rows,
                {.rows = routing.offsets.reshape({1, routing.offsets.count()}),
                 .choice_of = exchange.group.the_row,
                 .to_rank = exchange.group.every_rank,
                 .to_row = exchange.group.own_row});
}

Ticket DeepEpDispatcher::post(const Exchange& exchange, const PeerMeeting& meeting,
                              std::function<void()> finish) {
  auto posted = std::find_if(posted_.begin(), posted_.end(), [](const Posted& each) { return each.is_free; });
  if (posted == posted_.end()) posted = posted_.emplace(posted_.end());
  *posted = {&exchange.group, exchange.area, meeting, std::move(finish), false};
  return Ticket(static_cast<std::uint64_t>(posted - posted_.begin()) + 1);
}

void DeepEpDispatcher::wait(Run&, Ticket& ticket) {
  Posted& posted = posted_.at(ticket.id() - 1);
  posted.group->landing.meet(posted.meeting);
  std::exchange(posted.finish, {})();
  posted.group->landing.end(posted.area);
  posted.is_free = true;
  ticket = Ticket{};
}

Ticket DeepEpDispatcher::post_dispatch(Run& run, const Routing& routing, const Received& received,
                                       TensorView x) {
  const bool first = run.makes_kept(), on_input = routing.score_side == ScoreSide::input;
  const Exchange now = begin(run.device, routing, received, first);
  const TensorView kept = now.handle.offsets;
  if (first)
    place(run, routing, now, received.offsets);
  else
    run.device.copy(Lane::compute, received.offsets.data, kept.data, received.offsets.bytes());
  const PeerMeeting meeting = now.group.landing.next_meeting();
  std::function<void()> scores = [] {};
  if (!on_input) scores = send_scores(run.ops, routing, now, as_column(received.weights));
  const auto rows = send(run.ops, now, received.rows,
                         {.rows = x,
                          .choice_of = routing.choice_of,
                          .top_k = routing.weights.extent(1),
                          .weights = on_input ? routing.weights : TensorView{},
                          .comes_to = meeting});
  return post(now, meeting, [=] {
    rows();
    scores();
  });
}

/// The ranks of the tokens add, where operators meet as results come, each by one kernel.
Ticket DeepEpDispatcher::post_combine(Run& run, const Routing& routing, const Received& received,
                                      const Combine& args) {
  const Exchange now = begin(run.device, routing, received, false);
  const PeerMeeting meeting = now.group.landing.next_meeting();
  const TensorView landed = now.landing.rows.rows(0, now.sizes.sent);
  Going going = back(now, args.rows, meeting);
  if (meeting) {
    going.own = TensorView{};  // they are read where they are
    const Pushed results = pushed(now, now.landing.rows, going);
    const bool on_output = routing.score_side == ScoreSide::output;
    run.ops.return_rows({results.args, landed, now.handle.to_rank, now.handle.to_row, routing.row_of,
                         on_output ? routing.weights : TensorView{}, args.base, args.y, now.handle.sent,
                         routing.choice_of});
    return post(now, meeting, [] {});
  }
  run.ops.push_rows(pushed(now, now.landing.rows, going).args);
  return post(now, meeting, [=, &ops = run.ops] {
    ops.mark_lost({landed, now.handle.lost});
    sorted_rows::combine(ops, routing, {landed, args.base, args.y});
  });
}

/// Rows of dy travel as they are: where scores are on the output their experts multiply, who know what they
/// made of the row, and so the gradient of its score. They multiply where rows land, after a meeting of its
/// own.
Ticket DeepEpDispatcher::post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                                               const CombineGradient& args) {
  const Exchange now = begin(run.device, routing, received, false);
  Going going{.rows = args.dy,
              .choice_of = routing.choice_of,
              .top_k = routing.weights.extent(1),
              .to_rank = now.handle.to_rank,
              .to_row = now.handle.to_row};
  if (routing.score_side == ScoreSide::input) {
    going.comes_to = now.group.landing.next_meeting();
    return post(now, going.comes_to, send(run.ops, now, received.rows, going));
  }
  run.ops.push_rows(pushed(now, now.landing.rows, going).args);
  return post(now, {}, [=, &ops = run.ops] {
    if (now.sizes.received == 0) return;
    ops.combine_backward({now.landing.rows.rows(0, now.sizes.received), args.rows,
                          as_column(now.handle.arrived), as_column(received.weights), received.rows,
                          now.handle.dscores});
  });
}

Ticket DeepEpDispatcher::post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                                const DispatchGradient& args) {
  const Exchange now = begin(run.device, routing, received, false);
  const PeerMeeting meeting = now.group.landing.next_meeting();
  const bool on_output = routing.score_side == ScoreSide::output;
  if (on_output) run.ops.push_rows(pushed(now, now.landing.scores, back(now, now.handle.dscores)).args);
  run.ops.push_rows(pushed(now, now.landing.rows, back(now, received.rows, meeting)).args);
  return post(now, meeting, [=, &ops = run.ops] {
    const TensorView rows = now.landing.rows.rows(0, now.sizes.sent);
    ops.mark_lost({rows, now.handle.lost, meeting});
    sorted_rows::permute_gradient(ops, routing, args, rows);
    if (on_output)
      ops.combine_forward({now.landing.scores.rows(0, now.sizes.sent),
                           as_column(routing.row_of),
                           {},
                           {},
                           as_column(args.dweights)});
  });
}

}  // namespace caravan::deepep

CARAVAN_PLUGIN("dispatch-deepep", CARAVAN_VERSION, "Apache-2.0",
               "Expert dispatch by writes to the memory of other ranks",
               caravan::component<caravan::deepep::DeepEpDispatcher>());
