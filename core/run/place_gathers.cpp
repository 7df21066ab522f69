#include "core/run/place_gathers.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "caravan/check.hpp"

namespace caravan {
namespace {

/// Visits of a walk, the first and the last, between which a group has its room for itself.
struct Stay {
  std::size_t group = 0, first = 0, last = 0;
  std::optional<std::size_t> before{};  ///< the stay that had the room before
};

using RoomOf = std::function<int(const GroupVisits&)>;
using Uses = std::function<bool(const Visit&)>;

/// In the order of their first visits.
std::vector<Stay> stays_in(const Walk& walk, const GroupsOfLayers& layers,
                           const std::vector<GroupVisits>& groups, const RoomOf& room_of, const Uses& uses) {
  std::vector<Stay> stays;
  std::map<int, std::size_t> in_room;
  for (std::size_t visit = 0; visit < walk.size(); ++visit) {
    if (!uses(walk[visit])) continue;
    for (const std::size_t group : layers[walk[visit].layer]) {
      const auto [now, is_first] = in_room.try_emplace(room_of(groups[group]), stays.size());
      const std::optional<std::size_t> before = is_first ? std::nullopt : std::optional(now->second);
      if (before && stays[*before].group == group) {
        stays[*before].last = visit;
        continue;
      }
      CARAVAN_EXPECT(!before || stays[*before].last < visit);  // no layer uses two groups of one room
      now->second = stays.size();
      stays.push_back({group, visit, visit, before});
    }
  }
  return stays;
}

/// A visit to insert, before visit `at` of the walk; it waits for exchanges that were inserted earlier.
struct Insertion {
  /// The order at one place: sums leave first, as somebody waits for their room.
  enum class Kind { reduce, gather, prepare } kind;
  std::size_t at = 0;
  Segment* segment = nullptr;
  std::size_t layer = 0;
  std::vector<std::size_t> waits_for{};  ///< insertions
};

class Placing {
 public:
  Placing(const Walk& walk, const GroupsOfLayers& layers, const std::vector<GroupVisits>& groups)
      : walk_(walk), layers_(layers), groups_(groups), gathers_before_(walk.size()) {}

  void place_gathers(int prefetch) {
    const auto uses = [](const Visit& visit) { return visit.what != Visit::What::backward_weight; };
    const std::vector<Stay> stays = stays_in(
        walk_, layers_, groups_, [](const GroupVisits& group) { return group.weight_room; }, uses);
    std::vector<std::size_t> firsts;  // visits that begin to use some group
    for (const Stay& stay : stays) {
      if (firsts.empty() || firsts.back() != stay.first) firsts.push_back(stay.first);
      const GroupVisits& group = groups_[stay.group];
      if (!group.gathers) continue;
      const std::size_t ahead = std::min(firsts.size() - 1, static_cast<std::size_t>(prefetch));
      const std::size_t wanted = firsts[firsts.size() - 1 - ahead];
      const std::size_t allowed = stay.before ? stays[*stay.before].last + 1 : 0;
      gathers_before_[stay.first].push_back(insert(
          {Insertion::Kind::gather, std::max(wanted, allowed), group.gather, walk_[stay.first].layer}));
    }
  }

  void place_reductions() {
    const auto uses = [](const Visit& visit) {
      return visit.what == Visit::What::backward_input || visit.what == Visit::What::backward_weight;
    };
    const std::vector<Stay> stays = stays_in(
        walk_, layers_, groups_, [](const GroupVisits& group) { return group.gradient_room; }, uses);
    std::vector<std::size_t> reductions(stays.size());
    std::vector<std::size_t> without_room;  // reductions that nobody waits for
    std::map<std::size_t, std::size_t> last_of_group;
    for (std::size_t index = 0; index < stays.size(); ++index) last_of_group[stays[index].group] = index;
    for (std::size_t index = 0; index < stays.size(); ++index) {
      const Stay& stay = stays[index];
      const GroupVisits& group = groups_[stay.group];
      if (!group.reduces) continue;
      if (group.prepare) {
        Insertion prepare{Insertion::Kind::prepare, stay.first, group.prepare, walk_[stay.first].layer};
        if (stay.before) prepare.waits_for.push_back(reductions[*stay.before]);
        insert(std::move(prepare));
      }
      const bool is_last = last_of_group[stay.group] == index;
      reductions[index] = insert({Insertion::Kind::reduce, stay.last + 1,
                                  is_last ? group.reduce_last : group.reduce, walk_[stay.last].layer});
      if (!group.prepare) without_room.push_back(reductions[index]);
    }
    bound(without_room);
  }

  Walk take() {
    Walk placed;
    std::vector<std::size_t> index_of(walk_.size()), index_of_inserted(insertions_.size());
    const std::vector<std::size_t> order = in_order();
    std::size_t next = 0;
    const auto take_until = [&](std::size_t at) {
      for (; next < order.size() && insertions_[order[next]].at <= at; ++next) {
        index_of_inserted[order[next]] = placed.size();
        placed.push_back(visit_of(insertions_[order[next]], index_of_inserted));
      }
    };
    for (std::size_t at = 0; at < walk_.size(); ++at) {
      take_until(at);
      index_of[at] = placed.size();
      Visit visit = walk_[at];
      for (std::size_t& waited : visit.waits_for) waited = index_of[waited];
      for (const std::size_t gather : gathers_before_[at])
        visit.waits_for.push_back(index_of_inserted[gather]);
      placed.push_back(std::move(visit));
    }
    take_until(walk_.size());
    return placed;
  }

 private:
  /// In the order in which they are made, each waits for the one that is kMostSums before it.
  void bound(std::vector<std::size_t>& sums) {
    std::stable_sort(sums.begin(), sums.end(),
                     [&](auto a, auto b) { return insertions_[a].at < insertions_[b].at; });
    for (std::size_t sum = kMostSums; sum < sums.size(); ++sum)
      insertions_[sums[sum]].waits_for.push_back(sums[sum - kMostSums]);
  }

  std::size_t insert(Insertion insertion) {
    insertions_.push_back(std::move(insertion));
    return insertions_.size() - 1;
  }

  std::vector<std::size_t> in_order() const {
    std::vector<std::size_t> order(insertions_.size());
    std::iota(order.begin(), order.end(), 0);
    const auto key = [&](std::size_t index) {
      return std::pair(insertions_[index].at, insertions_[index].kind);
    };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return key(a) < key(b); });
    return order;
  }

  static Visit visit_of(const Insertion& insertion, const std::vector<std::size_t>& index_of_inserted) {
    Visit visit{insertion.segment, insertion.layer, Visit::What::exchange};
    for (const std::size_t waited : insertion.waits_for) visit.waits_for.push_back(index_of_inserted[waited]);
    return visit;
  }

  const Walk& walk_;
  const GroupsOfLayers& layers_;
  const std::vector<GroupVisits>& groups_;
  std::vector<Insertion> insertions_;
  std::vector<std::vector<std::size_t>> gathers_before_;  ///< of each visit, which insertions it waits for
};

}  // namespace

Walk place_gathers(const Walk& walk, const GroupsOfLayers& layers, const std::vector<GroupVisits>& groups,
                   int prefetch) {
  Placing placing(walk, layers, groups);
  placing.place_gathers(prefetch);
  const auto adds = [](const Visit& visit) { return visit.what == Visit::What::backward_weight; };
  if (std::any_of(walk.begin(), walk.end(), adds)) placing.place_reductions();
  return placing.take();
}

}  // namespace caravan
