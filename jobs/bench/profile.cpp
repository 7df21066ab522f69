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
  if (activities.empty()) return profile;
  std::map<std::string, KernelTime> by_name;
  std::int64_t end = activities.front().start_ns, idle = 0;
  for (const DeviceActivity& activity : activities) {
    KernelTime& kernel = by_name[short_name(activity.name)];
    ++kernel.calls;
    kernel.seconds += 1e-9 * static_cast<double>(activity.end_ns - activity.start_ns);
    idle += std::max<std::int64_t>(activity.start_ns - end, 0);
    end = std::max(end, activity.end_ns);
  }
  profile.span_s = 1e-9 * static_cast<double>(end - activities.front().start_ns);
  profile.idle_s = 1e-9 * static_cast<double>(idle);
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
  text += fmt::format("{:>9.3f} {:>7} {:>5.1f}%  idle\n", 1e3 * profile.idle_s / count, "",
                      100 * profile.idle_fraction());
  return text;
}

}  // namespace caravan::jobs
