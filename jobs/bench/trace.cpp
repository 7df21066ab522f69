#include "jobs/bench/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "caravan/error.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/bench/profile.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

enum Row : int { computation, exchanges, alone };

ordered_json named_row(int rank, Row row, const char* name) {
  return {{"name", "thread_name"}, {"ph", "M"}, {"pid", rank}, {"tid", int{row}}, {"args", {{"name", name}}}};
}

ordered_json event(const std::string& name, int rank, Row row, std::int64_t begin_ns, std::int64_t end_ns) {
  return {{"name", name},
          {"ph", "X"},
          {"pid", rank},
          {"tid", int{row}},
          {"ts", 1e-3 * static_cast<double>(begin_ns)},
          {"dur", 1e-3 * static_cast<double>(end_ns - begin_ns)}};
}

/// What computes, by start. Activities are asked for by start too, so that what ended before one is passed by
/// for all.
class Computing {
 public:
  explicit Computing(const std::vector<DeviceActivity>& activities) : all_(activities) {}
  /// Calls visit(begin, end) for the parts of an exchange in which nothing computes.
  template <class Visit>
  void for_each_gap(const DeviceActivity& exchange, const Visit& visit) {
    while (first_ < all_.size() && (all_[first_].is_exchange || all_[first_].end_ns <= exchange.start_ns))
      ++first_;
    std::int64_t at = exchange.start_ns;
    for (std::size_t next = first_; next < all_.size() && all_[next].start_ns < exchange.end_ns; ++next) {
      if (all_[next].is_exchange || all_[next].end_ns <= at) continue;
      if (all_[next].start_ns > at) visit(at, all_[next].start_ns);
      at = std::max(at, all_[next].end_ns);
    }
    if (at < exchange.end_ns) visit(at, exchange.end_ns);
  }

 private:
  const std::vector<DeviceActivity>& all_;
  std::size_t first_ = 0;
};

}  // namespace

std::string as_trace(const std::vector<DeviceActivity>& activities, int rank) {
  ordered_json events{named_row(rank, computation, "computation"), named_row(rank, exchanges, "exchanges"),
                      named_row(rank, alone, "exchanges that nothing hides")};
  Computing computing(activities);
  const std::int64_t first = activities.empty() ? 0 : activities.front().start_ns;
  for (const DeviceActivity& activity : activities) {
    const std::string name = short_name(activity.name);
    events.push_back(event(name, rank, activity.is_exchange ? exchanges : computation,
                           activity.start_ns - first, activity.end_ns - first));
    if (!activity.is_exchange) continue;
    computing.for_each_gap(activity, [&](std::int64_t begin, std::int64_t end) {
      events.push_back(event(name, rank, alone, begin - first, end - first));
    });
  }
  return ordered_json{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}}.dump() + "\n";
}

void prepare_traces(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || !std::filesystem::is_directory(folder))
    throw IoError(fmt::format("cannot make folder '{}' for traces ({}). Another --trace?", folder,
                              error ? error.message() : "it is a file"));
}

void write_trace(const std::string& folder, int rank, const std::vector<DeviceActivity>& activities) {
  io::write_output(fmt::format("{}/rank-{}.json", folder, rank), as_trace(activities, rank));
}

}  // namespace caravan::jobs
