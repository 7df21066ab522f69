#include "jobs/convert/progress.hpp"

#include <fmt/format.h>

#include <numeric>
#include <utility>

namespace caravan::jobs {
namespace {

constexpr auto kPause = std::chrono::milliseconds(200);
constexpr double kGiga = 1e9;

}  // namespace

ConvertProgress::ConvertProgress(std::span<const std::uint64_t> bytes, const Communicator& world,
                                 std::function<void()> report)
    : report_(std::move(report)),
      is_shown_(world.rank() == 0),
      ranks_(world.size()),
      all_(std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0})) {}

void ConvertProgress::add(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  report_();
  done_ += bytes;
  const auto now = Clock::now();
  if (!is_shown_ || now - shown_ < kPause) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  const double done = static_cast<double>(done_) / kGiga, all = static_cast<double>(all_) / kGiga;
  line_.show(fmt::format("{:.2f} of {:.2f} GB{}, {:.2f} GB/s", done, all,
                         ranks_ > 1 ? fmt::format(" on the first of {} ranks", ranks_) : "",
                         seconds > 0 ? done / seconds : 0));
}

}  // namespace caravan::jobs
