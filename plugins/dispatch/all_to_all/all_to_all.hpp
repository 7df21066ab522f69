#pragma once

#include <functional>
#include <map>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/mesh.hpp"
#include "caravan/plugin.hpp"
#include "plugins/dispatch/all_to_all/buffers.hpp"
#include "plugins/dispatch/all_to_all/row_plan.hpp"

namespace caravan::all_to_all {

inline constexpr caravan_param kParams[] = {
    {"room", "float", "null", "", ">= 1",
     "Rows that a rank has memory for, in multiples of what even routing brings; a step that would bring "
     "more fails and "
     "changes nothing. null: as many as can come, so that none fails."},
};

/// An equal share of the experts on each rank of an expert group. The ranks tell each other how many rows
/// come, then rows travel in one all-to-all exchange of any communicator. The host must know the counts:
/// where the device has memory of its own, that waits for the router once a layer and micro-batch.
class AllToAllDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "all_to_all";
  static constexpr const char* kSummary = "Experts over ranks: counts, then rows, by all-to-all exchanges";
  static constexpr auto& kParams = all_to_all::kParams;

  AllToAllDispatcher(const Host& host, const Config& config);

  DispatchNeeds needs(const DispatchSpec& spec) const override;
  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override;
  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override;
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override;
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override;
  void wait(Run& run, Ticket& ticket) override;

 private:
  /// Everything that one exchange works on.
  struct Exchange {
    const RowPlan& plan;
    Scratch scratch;
    Handle handle;
    TensorView arrived() const { return scratch.received.rows(0, plan.rows_received()); }
    TensorView leaving() const { return scratch.sent.rows(0, plan.rows_sent()); }
    TensorView arrival_of() const { return handle.arrival_of.rows(0, plan.rows_received()); }
    TensorView place_of() const { return handle.place_of.rows(0, plan.rows_received()); }
  };
  /// Under way. `scores` travel beside the rows, or not.
  struct Posted {
    Ticket rows{}, scores{};
    std::function<void()> finish{};
    bool is_free = true;
  };
  enum class Way { to_experts, back };

  /// Of a micro-batch that is sent for the first time: what its exchanges will go by.
  void plan(Run& run, const Routing& routing, const Received& received);
  void exchange_counts(Device& device, const Routing& routing);
  Exchange exchange(const Routing& routing, const Received& received) const;
  Ticket post(const Exchange& exchange, Way way, std::function<void()> finish, const TensorView& scores = {});
  Ticket post_rows(const RowPlan& plan, Way way, const TensorView& own, const TensorView& at_experts);

  std::unique_ptr<Communicator> alone_;  ///< where there is no mesh
  RankGroup group_;
  int ranks_, rank_;
  double room_;                           ///< 0: all
  std::vector<std::int32_t> first_rows_;  ///< [ranks, E+1], of the last dispatch
  std::map<const void*, RowPlan> plans_;  ///< by the memory of the micro-batch's handle
  std::vector<Posted> posted_;
};

}  // namespace caravan::all_to_all
