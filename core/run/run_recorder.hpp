#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

#include "caravan/device.hpp"
#include "core/plan/simulate.hpp"
#include "core/run/walk.hpp"

namespace caravan {

/// What ran within and beside the actions of one run of a plan, in seconds since its start. Names are
/// borrowed from segments and stages.
class RunRecorder {
 public:
  /// A visit of a segment, or an exchange, of rows that a segment posted or of a parameter group, from its
  /// post to when this rank found that it is over.
  struct Item {
    ActionKind kind;         ///< F, R, I or W; UNSHARD or REDUCE_GRAD of a group
    std::string_view name;   ///< of the segment; "gather of layers.3"
    std::string_view layer;  ///< of the segment; empty for a group
    Span span;
    Lane lane = Lane::compute;
  };

  explicit RunRecorder(Device& device) : device_(device) {}
  /// Forgets the run before.
  void start();
  /// Since the start.
  double seconds() const;

  /// Both wait for what the compute lane was given: exchanges go on meanwhile.
  void visit_begins() { visit_began_ = computed(); }
  void visited(ActionKind kind, const Visit& visit, std::string_view layer);

  /// A number for exchange_is_over().
  std::size_t exchange_begins(ActionKind kind, Lane lane, std::string_view name, std::string_view layer = {});
  void exchange_is_over(std::size_t exchange) { exchanges_[exchange].span.end = seconds(); }

  /// In the order of their starts.
  const std::vector<Item>& visits() const noexcept { return visits_; }
  const std::vector<Item>& exchanges() const noexcept { return exchanges_; }

 private:
  double computed();

  Device& device_;
  std::chrono::steady_clock::time_point start_{};
  double visit_began_ = 0;
  std::vector<Item> visits_, exchanges_;
};

}  // namespace caravan
