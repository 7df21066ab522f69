#include <utility>

#include "plugins/dispatch/deepep/deepep.hpp"

// Rows, and scores beside them, on their way to experts.
namespace caravan::deepep {

DeepEpDispatcher::Pushed DeepEpDispatcher::pushed(const Exchange& exchange, const TensorView& landing,
                                                  const Going& going) const {
  Pushed all{exchange.group.landing.everywhere(landing.as<std::byte>()), {}};
  if (going.own) all.regions[static_cast<std::size_t>(rank_)] = going.own->as<std::byte>();
  all.args = {.rows = going.rows,
              .choice_of = going.choice_of,
              .top_k = going.top_k,
              .weights = going.weights,
              .to_rank = going.to_rank,
              .to_row = going.to_row,
              .regions = all.regions,
              .region_rows = landing.extent(0),
              .rank = rank_,
              .comes_to = going.comes_to,
              .parts = going.parts};
  return all;
}

/// to[r] = landed[r] of every row that another rank has sent.
DeepEpDispatcher::Pushed DeepEpDispatcher::taken(const Exchange& exchange, const TensorView& landed,
                                                 const TensorView& to) const {
  Pushed all{std::vector<std::byte*>(static_cast<std::size_t>(ranks_), to.as<std::byte>()), {}};
  all.regions[static_cast<std::size_t>(rank_)] = nullptr;
  all.args = {.rows = landed.rows(0, to.extent(0)),
              .to_rank = exchange.handle.back_rank,
              .to_row = exchange.handle.arrived,
              .regions = all.regions,
              .region_rows = to.extent(0),
              .parts = exchange.handle.received};
  return all;
}

/// Rows to experts. Those of this rank go straight to where they are read; what remains for the wait where
/// operators do not meet is to bring those of others there from where they land.
std::function<void()> DeepEpDispatcher::send(Ops& ops, const Exchange& exchange, const TensorView& to,
                                             Going going) {
  const TensorView landing = exchange.landing.rows;
  going.own = to;
  going.to_rank = exchange.handle.to_rank;
  going.to_row = exchange.handle.to_row;
  going.parts = exchange.handle.sent;
  const Pushed push = pushed(exchange, landing, going);
  if (!going.comes_to) {
    ops.push_rows(push.args);
    return [=, this, &ops] {
      if (ranks_ > 1) ops.push_rows(taken(exchange, landing, to).args);
    };
  }
  const Pushed take = taken(exchange, landing, to);
  ops.exchange_rows({push.args, take.args});
  return [] {};
}

/// The same for the scores of rows, which are there when the rows are.
std::function<void()> DeepEpDispatcher::send_scores(Ops& ops, const Routing& routing,
                                                    const Exchange& exchange, const TensorView& to) {
  ops.push_rows(pushed(exchange, exchange.landing.scores,
                       {.rows = as_column(routing.weights),
                        .choice_of = routing.choice_of,
                        .to_rank = exchange.handle.to_rank,
                        .to_row = exchange.handle.to_row,
                        .own = to})
                    .args);
  return [=, this, &ops] { ops.push_rows(taken(exchange, exchange.landing.scores, to).args); };
}

}  // namespace caravan::deepep
