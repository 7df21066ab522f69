#include "jobs/plot/run_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders_of(const std::string& path) {
  std::vector<std::string> folders;
  for (const fs::path& part : fs::absolute(path).lexically_normal()) {
    if (!part.empty() && part != "/") folders.push_back(part.string());
  }
  return folders;
}

std::string last_of(const std::vector<std::string>& folders, std::size_t count) {
  std::string name;
  for (std::size_t at = folders.size() - std::min(count, folders.size()); at < folders.size(); ++at)
    name += (name.empty() ? "" : "/") + folders[at];
  return name.empty() ? "/" : name;
}

}  // namespace

std::vector<std::string> distinct_names(const std::vector<std::string>& paths) {
  std::vector<std::vector<std::string>> all;
  std::size_t deepest = 1;
  for (const std::string& path : paths) {
    all.push_back(folders_of(path));
    const auto same = std::find(all.begin(), all.end() - 1, all.back());
    CARAVAN_CHECK(same == all.end() - 1, ConfigError,
                  fmt::format("the run {} is given twice (it would hide itself). Once?", path));
    deepest = std::max(deepest, all.back().size());
  }
  for (std::size_t count = 1;; ++count) {
    std::vector<std::string> names;
    for (const auto& folders : all) names.push_back(last_of(folders, count));
    const bool differ = std::set<std::string>(names.begin(), names.end()).size() == names.size();
    if (differ || count >= deepest) return names;
  }
}

}  // namespace caravan::jobs
