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

/// Intervals that come by their begin, joined.
class Union {
 public:
  void add(const DeviceActivity& activity) {
    if (is_empty_) begin_ = end_ = activity.start_ns;
    is_empty_ = false;
    longest_gap_ = std::max(longest_gap_, activity.start_ns - end_);
    covered_ += std::max<std::int64_t>(activity.end_ns - std::max(end_, activity.start_ns), 0);
    end_ = std::max(end_, activity.end_ns);
  }
  std::int64_t span() const { return end_ - begin_; }
  std::int64_t covered() const { return covered_; }
  std::int64_t longest_gap() const { return longest_gap_; }

 private:
  bool is_empty_ = true;
  std::int64_t begin_ = 0, end_ = 0, covered_ = 0, longest_gap_ = 0;
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
  row(profile.idle_s, fmt::format("idle, at most {:.0f} us at a time", 1e6 * profile.longest_gap_s));
  return text;
}

}  // namespace caravan::jobs
