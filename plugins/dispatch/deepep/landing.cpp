#include "plugins/dispatch/deepep/landing.hpp"

#include <algorithm>
#include <utility>

#include "caravan/arena.hpp"
#include "caravan/check.hpp"

namespace caravan::deepep {
namespace {

/// Of one rank, in the memory of its device.
class OwnWindow final : public PeerWindow {
 public:
  OwnWindow(Device& device, std::size_t bytes) : memory_(device, bytes, "rows of experts") {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::size_t bytes() const override { return memory_.capacity(); }
  std::byte* part(int) const override { return static_cast<std::byte*>(memory_.base()); }
  void meet() override {}

 private:
  Arena memory_;
};

}  // namespace

void Landing::reserve(std::size_t table_bytes, std::size_t rows_bytes) {
  if (table_bytes <= table_bytes_ && rows_bytes <= rows_bytes_) return;
  CARAVAN_CHECK(
      std::none_of(areas_.begin(), areas_.end(), [](const Area& area) { return area.is_busy; }), CommError,
      "an exchange of experts needs more memory than the one before it, which is under way (all that "
      "overlap must be of one shape)");
  const std::size_t table = std::max(table_bytes, std::exchange(table_bytes_, 0)),
                    rows = std::max(rows_bytes, std::exchange(rows_bytes_, 0)),
                    bytes = kAreas * (table + rows);
  window_.reset();
  if (ranks_.size() == 1)
    window_ = std::make_unique<OwnWindow>(device_, bytes);
  else
    window_ = ranks_.open_window(bytes, timeout_s_);
  table_bytes_ = table;
  rows_bytes_ = rows;
  areas_ = {};
  come_ = met_ = 0;
}

int Landing::begin(bool ranks_meet) {
  const std::size_t area = std::exchange(next_, (next_ + 1) % areas_.size());
  CARAVAN_CHECK(!areas_[area].is_busy, CommError,
                "a third exchange of experts is begun (there is memory for two at once)");
  if (!ranks_meet && met_ < areas_[area].free_at) meet();
  areas_[area].is_busy = true;
  return static_cast<int>(area);
}

/// A rank comes to its next meeting in its own order, after it has read the area.
void Landing::end(int area) {
  areas_[static_cast<std::size_t>(area)] = {.is_busy = false, .free_at = come_ + 1};
}

PeerMeeting Landing::next_meeting() {
  const PeerMeeting meeting = window_->next_meeting();
  if (meeting) come_ = meeting.number;
  return meeting;
}

void Landing::meet(const PeerMeeting& meeting) {
  if (meeting) {
    met_ = std::max(met_, meeting.number);
    return;
  }
  window_->meet();
  met_ = ++come_;
}

std::vector<std::byte*> Landing::everywhere(const std::byte* own) const {
  std::vector<std::byte*> all;
  const std::ptrdiff_t offset = own - window_->part(window_->rank());
  for (int rank = 0; rank < window_->size(); ++rank) all.push_back(window_->part(rank) + offset);
  return all;
}

}  // namespace caravan::deepep
