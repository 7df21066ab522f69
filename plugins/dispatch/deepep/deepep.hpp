#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/mesh.hpp"
#include "caravan/plugin.hpp"
#include "plugins/dispatch/deepep/buffers.hpp"
#include "plugins/dispatch/deepep/group.hpp"

namespace caravan::deepep {

inline constexpr caravan_param kParams[] = {
    {"room", "float", "null", "", ">= 1",
     "Rows that a rank has memory for, in multiples of what even routing brings; a step that would bring "
     "more "
     "fails and changes nothing. null: as many as can come, so that none fails."},
    {"timeout", "float", "3600", "s", "> 0",
     "How long a rank waits for another of its group before it ends the run and names it; the watchdog comes "
     "first"},
};

/// An equal share of the experts on each rank of an expert group, whose ranks write each row straight to its
/// place at the other rank, as DeepEP does: the counts of all routers, then rows, with a meeting of the ranks
/// behind each. Every rank works out all places from the same counts, and results come back to a place of
/// their own, so sums are in one order. The host reads no count.
class DeepEpDispatcher final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "deepep";
  static constexpr const char* kSummary = "Experts over ranks: rows written straight to the memory of others";
  static constexpr auto& kParams = deepep::kParams;

  /// CommError where the ranks cannot see each other's memory.
  DeepEpDispatcher(const Host& host, const Config& config);

  std::string row_path() const override { return ranks_ > 1 ? "through memory in common" : ""; }
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
    Group& group;
    Sizes sizes;
    Handle handle;
    int area;
    Table table;          ///< of this rank's area
    LandingRows landing;  ///< the same
  };
  struct Posted {
    Group* group = nullptr;
    int area = 0;
    PeerMeeting meeting{};
    std::function<void()> finish{};
    bool is_free = true;
  };
  /// Rows and where they go.
  struct Going {
    TensorView rows{}, choice_of{};
    std::int64_t top_k = 1;
    TensorView weights{}, to_rank{}, to_row{};
    /// Where those go that stay on this rank, if not where they would land; empty: nowhere.
    std::optional<TensorView> own{};
    PeerMeeting comes_to{};
    RowParts parts{};
  };
  /// The same with the memory that `args` has a view of.
  struct Pushed {
    std::vector<std::byte*> regions;
    PushRows args;
  };

  Sizes sizes_of(const Routing& routing, const Received& received) const;
  Exchange begin(Device& device, const Routing& routing, const Received& received, bool ranks_meet);
  void place(Run& run, const Routing& routing, const Exchange& exchange, const TensorView& offsets);
  Pushed pushed_counts(const Routing& routing, const Exchange& exchange) const;
  /// To the same view of the area at each rank.
  Pushed pushed(const Exchange& exchange, const TensorView& landing, const Going& going) const;
  Pushed taken(const Exchange& exchange, const TensorView& landed, const TensorView& to) const;
  std::function<void()> send(Ops& ops, const Exchange& exchange, const TensorView& to, Going going);
  std::function<void()> send_scores(Ops& ops, const Routing& routing, const Exchange& exchange,
                                    const TensorView& to);
  /// Received rows on the way to where they came from.
  static Going back(const Exchange& exchange, const TensorView& rows, const PeerMeeting& comes_to = {}) {
    return {.rows = rows,
            .to_rank = exchange.handle.back_rank,
            .to_row = exchange.handle.back_row,
            .comes_to = comes_to,
            .parts = exchange.handle.received};
  }
  Ticket post(const Exchange& exchange, const PeerMeeting& meeting, std::function<void()> finish);

  /// Of all layers of this rank: made when the first rows go.
  Group& group(Device& device);

  Mesh* mesh_;
  std::unique_ptr<Communicator> alone_;  ///< where there is no mesh
  Communicator& members_;
  int ranks_, rank_;
  double room_;  ///< 0: all
  double timeout_s_;
  std::unique_ptr<Group> own_group_;  ///< where there is no mesh to keep it
  std::vector<Posted> posted_;
};

}  // namespace caravan::deepep
