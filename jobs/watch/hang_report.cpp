#include "jobs/watch/hang_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "io/files/file.hpp"
#include "io/files/replace_text.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 8;  // ranks of each kind in a message; the folder has them all
constexpr std::uint64_t kMostBytes = 4096;

std::string file_of(const std::string& folder, int rank) {
  return fmt::format("{}/rank-{:05}.json", folder, rank);
}

/// What only ends when other ranks come to it: whoever is elsewhere is the one they wait for.
bool is_meeting(const std::string& place) {
  return place.starts_with("all-reduce") || place.starts_with("reduction");
}

/// The likeliest culprit first: who is a step behind, who is not where the others meet, who stands longest.
bool is_before(const HangReport::Rank& a, const HangReport::Rank& b) {
  const auto key = [](const HangReport::Rank& rank) {
    return std::tuple(rank.sight.step, is_meeting(rank.sight.place), -rank.seconds);
  };
  return key(a) < key(b);
}

void shorten(std::vector<std::string>& list) {
  if (list.size() <= kShown) return;
  const std::size_t more = list.size() - kShown;
  list.resize(kShown);
  list.push_back(fmt::format("and {} more", more));
}

}  // namespace

HangReport::HangReport(std::string folder, std::vector<std::string> hosts)
    : folder_(std::move(folder)), hosts_(std::move(hosts)) {}

bool HangReport::exists() const {
  std::error_code ignored;
  return fs::is_directory(folder_, ignored);
}

void HangReport::write(const Rank& own) const {
  std::error_code ignored;
  fs::create_directories(folder_, ignored);
  const nlohmann::json text{{"rank", own.rank},
                            {"host", hosts_.at(static_cast<std::size_t>(own.rank))},
                            {"step", own.sight.step},
                            {"action", own.sight.place},
                            {"seconds", own.seconds}};
  io::replace_text(file_of(folder_, own.rank), text.dump() + "\n");
}

std::vector<HangReport::Rank> HangReport::read() const {
  std::vector<Rank> ranks;
  for (int rank = 0; rank < static_cast<int>(hosts_.size()); ++rank) {
    std::error_code ignored;
    const std::string path = file_of(folder_, rank);
    if (!fs::exists(path, ignored)) continue;
    const auto json = nlohmann::json::parse(io::read_text(path, kMostBytes), nullptr, false);
    if (!json.is_object()) continue;
    ranks.push_back({rank,
                     json.value("seconds", 0.0),
                     {0, json.value("step", std::int64_t{0}), json.value("action", "")}});
  }
  return ranks;
}

std::vector<int> HangReport::silent(const std::vector<Rank>& ranks) const {
  std::vector<int> list;
  for (int rank = 0; rank < static_cast<int>(hosts_.size()); ++rank) {
    const auto is_it = [&](const Rank& each) { return each.rank == rank; };
    if (std::none_of(ranks.begin(), ranks.end(), is_it)) list.push_back(rank);
  }
  return list;
}

std::string HangReport::name_of(int rank) const {
  return fmt::format("rank {} on {}", rank, hosts_.at(static_cast<std::size_t>(rank)));
}

std::string HangReport::describe(std::vector<Rank> ranks) const {
  std::vector<std::string> quiet, waiting;
  for (int rank : silent(ranks)) quiet.push_back(name_of(rank));
  std::stable_sort(ranks.begin(), ranks.end(), is_before);
  for (const Rank& each : ranks) {
    const std::string when =
        each.sight.step > 0 ? fmt::format("in step {}", each.sight.step) : "before its first step";
    waiting.push_back(fmt::format("{} is {} at: {}, for {:.1f} s", name_of(each.rank), when, each.sight.place,
                                  each.seconds));
  }
  shorten(quiet);
  shorten(waiting);
  std::string text;
  if (!quiet.empty())
    text = fmt::format("{} said nothing (stopped, cut off or dead); ", fmt::join(quiet, ", "));
  return text + fmt::format("{}", fmt::join(waiting, "; "));
}

std::vector<std::string> HangReport::silent_hosts(const std::vector<Rank>& ranks) const {
  std::vector<std::string> list;
  for (int rank : silent(ranks)) list.push_back(hosts_.at(static_cast<std::size_t>(rank)));
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

}  // namespace caravan::jobs
