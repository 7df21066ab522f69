#include "jobs/bench/profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace caravan::jobs {
namespace {

void erase_all(std::string& text, std::string_view what) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.erase(at, what.size());
}

/// Where the list of arguments begins: the parenthesis that the last one closes.
std::size_t arguments_of(const std::string& name) {
  if (name.empty() || name.back() != ')') return name.size();
  int depth = 0;
  for (std::size_t at = name.size(); at-- > 0;) {
    depth += name[at] == ')' ? 1 : name[at] == '(' ? -1 : 0;
    if (depth == 0) return at;
  }
  return name.size();
}

/// Intervals that come by their begin, joined; borrows them.
class Union {
 public:
  void add(const DeviceActivity& activity) {
    if (!last_) begin_ = end_ = activity.start_ns;
    if (last_ && activity.start_ns - end_ > longest_gap_) {
      longest_gap_ = activity.start_ns - end_;
      before_gap_ = last_;
      after_gap_ = &activity;
    }
    covered_ += std::max<std::int64_t>(activity.end_ns - std::max(end_, activity.start_ns), 0);
    if (!last_ || activity.end_ns > end_) last_ = &activity;
    end_ = std::max(end_, activity.end_ns);
  }
  std::int64_t span() const { return end_ - begin_; }
  std::int64_t covered() const { return covered_; }
  std::int64_t longest_gap() const { return longest_gap_; }
  /// What ended last before it and began after it; null where there is none.
  const DeviceActivity* before_gap() const { return before_gap_; }
  const DeviceActivity* after_gap() const { return after_gap_; }

 private:
  std::int64_t begin_ = 0, end_ = 0, covered_ = 0, longest_gap_ = 0;
  const DeviceActivity *last_ = nullptr, *before_gap_ = nullptr, *after_gap_ = nullptr;
};

double seconds(std::int64_t nanoseconds) {
  return 1e-9 * static_cast<double>(nanoseconds);
}

}  // namespace

std::string short_name(const std::string& kernel) {
  std::string name = kernel.substr(0, arguments_of(kernel));
  erase_all(name, "(anonymous namespace)::");
  erase_all(name, "caravan::cuda::");
  erase_all(name, "caravan::");
  if (name.starts_with("void ")) name.erase(0, 5);
  return name;
}

Profile summarise(const std::vector<DeviceActivity>& activities) {
  Profile profile;
  std::map<std::string, KernelTime> by_name;
  Union all, computing;
  for (const DeviceActivity& activity : activities) {
    KernelTime& kernel = by_name[short_name(activity.name)];
    ++kernel.calls;
    kernel.seconds += seconds(activity.end_ns - activity.start_ns);
    all.add(activity);
    if (!activity.is_exchange) computing.add(activity);
  }
  profile.span_s = seconds(all.span());
  profile.idle_s = seconds(all.span() - all.covered());
  profile.longest_gap_s = seconds(all.longest_gap());
  if (all.after_gap()) {
    profile.before_gap = short_name(all.before_gap()->name);
    profile.after_gap = short_name(all.after_gap()->name);
  }
  profile.exchanges_s = seconds(all.covered() - computing.covered());
  for (auto& [name, kernel] : by_name) {
    kernel.name = name;
    profile.kernels.push_back(std::move(kernel));
  }
  std::stable_sort(profile.kernels.begin(), profile.kernels.end(),
                   [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return profile;
}

std::string as_text(const Profile& profile, int steps) {
  std::string text =
      fmt::format("\n{:>9} {:>7} {:>6}  kernel, over {} steps\n", "ms/step", "calls", "share", steps);
  const auto count = static_cast<double>(steps);
  for (const KernelTime& kernel : profile.kernels) {
    text += fmt::format("{:>9.3f} {:>7.1f} {:>5.1f}%  {}\n", 1e3 * kernel.seconds / count,
                        static_cast<double>(kernel.calls) / count, 100 * kernel.seconds / profile.span_s,
                        kernel.name.substr(0, 110));
  }
  const auto row = [&](double of_all, const std::string& what) {
    text += fmt::format("{:>9.3f} {:>7} {:>5.1f}%  {}\n", 1e3 * of_all / count, "",
                        100 * profile.fraction(of_all), what);
  };
  if (profile.exchanges_s > 0) row(profile.exchanges_s, "exchanges that nothing hides");
  row(profile.idle_s,
      fmt::format("idle, at most {:.0f} us at a time{}", 1e6 * profile.longest_gap_s,
                  profile.after_gap.empty()
                      ? ""
                      : fmt::format(" (from {:.40} to {:.40})", profile.before_gap, profile.after_gap)));
  return text;
}

std::vector<DeviceTimes> times_of_ranks(const Profile& profile, Communicator& world) {
  constexpr std::int64_t kTimes = 3;
  double own[kTimes] = {profile.span_s - profile.exchanges_s - profile.idle_s, profile.exchanges_s,
                        profile.idle_s};
  std::vector<double> all(static_cast<std::size_t>(kTimes * world.size()));
  world.all_gather(TensorView(own, DType::f64, {1, kTimes}),
                   TensorView(all.data(), DType::f64, {world.size(), kTimes}));
  std::vector<DeviceTimes> ranks;
  for (std::size_t at = 0; at < all.size(); at += kTimes)
    ranks.push_back({all[at], all[at + 1], all[at + 2]});
  return ranks;
}

std::string as_text(const std::vector<DeviceTimes>& ranks, int steps) {
  std::string text;
  const double to_ms = 1e3 / static_cast<double>(steps);
  for (std::size_t rank = 0; ranks.size() > 1 && rank < ranks.size(); ++rank)
    text += fmt::format("rank {}: {:.3f} ms/step of computation, {:.3f} of exchanges alone, {:.3f} idle\n",
                        rank, to_ms * ranks[rank].computation_s, to_ms * ranks[rank].exchanges_s,
                        to_ms * ranks[rank].idle_s);
  return text;
}

}  // namespace caravan::jobs
