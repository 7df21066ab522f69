#include "jobs/submit/failing_nodes.hpp"

#include <filesystem>
#include <map>
#include <sstream>

#include "io/files/file.hpp"

namespace caravan::jobs {
namespace {

constexpr std::uint64_t kMostBytes = 16 << 20;

bool is_node(const std::string& name) {
  constexpr const char* kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name[0] != '-' && name.find_first_not_of(kAllowed) == std::string::npos;
}

}  // namespace

std::vector<std::string> failing_nodes(const std::string& run, std::int64_t least) {
  const std::string path = run + "/failed-nodes.txt";
  if (!std::filesystem::exists(path)) return {};
  std::map<std::string, std::int64_t> counts;
  std::istringstream lines(io::read_text(path, kMostBytes));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string time, node;
    if (words >> time >> node && is_node(node)) ++counts[node];
  }
  std::vector<std::string> names;
  for (const auto& [node, count] : counts) {
    if (count >= least) names.push_back(node);
  }
  return names;
}

}  // namespace caravan::jobs
