#include "plugins/dispatch/deepep/landing.hpp"

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"

namespace caravan::deepep {

void Landing::reserve(std::size_t bytes) {
  if (bytes <= area_bytes_) return;
  CARAVAN_CHECK(
      std::none_of(areas_.begin(), areas_.end(), [](const Area& area) { return area.is_busy; }), CommError,
      "an exchange of experts needs more memory than the one before it, which is under way (all that "
      "overlap must be of one shape)");
  window_.reset();
  window_ = ranks_.open_window(bytes * areas_.size(), timeout_s_);
  area_bytes_ = bytes;
  areas_ = {};
  meetings_ = 1;
}

int Landing::begin(bool ranks_meet) {
  const std::size_t area = std::exchange(next_, (next_ + 1) % areas_.size());
  CARAVAN_CHECK(!areas_[area].is_busy, CommError,
                "a third exchange of experts is begun (there is memory for two at once)");
  // Who has come to a meeting since has read what came to the area before: its end was before in its order.
  if (!ranks_meet && areas_[area].ended_at >= meetings_) meet();
  areas_[area].is_busy = true;
  return static_cast<int>(area);
}

void Landing::end(int area) {
  areas_[static_cast<std::size_t>(area)] = {.is_busy = false, .ended_at = meetings_};
}

void Landing::meet() {
  window_->meet();
  ++meetings_;
}

std::vector<std::byte*> Landing::at(int area, std::size_t offset) const {
  std::vector<std::byte*> all;
  for (int rank = 0; rank < window_->size(); ++rank)
    all.push_back(window_->part(rank) + static_cast<std::size_t>(area) * area_bytes_ + offset);
  return all;
}

std::byte* Landing::own(int area) const {
  return window_->part(window_->rank()) + static_cast<std::size_t>(area) * area_bytes_;
}

}  // namespace caravan::deepep
