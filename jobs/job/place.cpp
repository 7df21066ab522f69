#include "jobs/job/place.hpp"

#include <fmt/format.h>

#include <string>

namespace caravan::jobs {
namespace {

/// "job.yaml" of "job.yaml:12"
std::string file_of(const std::string& where) {
  return where.substr(0, where.rfind(':'));
}

std::string value_of(const Config& node) {
  return node.kind() == Config::Kind::scalar ? "=" + node.text() : "";
}

}  // namespace

const Config& place_of(const Config& job, std::initializer_list<std::string_view> keys) {
  const Config* node = &job;
  for (const std::string_view key : keys) {
    if (!node->has(key)) break;
    node = &node->find(key);
  }
  return *node;
}

void add_place(Error& error, const Config& node) {
  const std::string text = error.what(), where = node.where();
  if (text.find(file_of(where)) != std::string::npos) return;
  error.add_context(
      fmt::format("{}: {}{}", where, node.path().empty() ? "the job" : node.path(), value_of(node)));
}

}  // namespace caravan::jobs
