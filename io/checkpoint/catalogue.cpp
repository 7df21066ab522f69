#include "io/checkpoint/catalogue.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/staging.hpp"
#include "io/checkpoint/verify.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

std::string path_of(const std::string& folder, std::int64_t step) {
  return (fs::path(folder) / step_folder(step)).string();
}

/// Why this is not a complete checkpoint; nothing when it is one.
std::optional<std::string> find_fault(const std::string& path, Through through) {
  try {
    verify_files(path, read_manifest(path), Check::everything, through);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::vector<std::int64_t> list_steps(const std::string& run_or_folder) {
  const std::string folder = checkpoints_folder(run_or_folder);
  std::vector<std::int64_t> steps;
  if (!fs::is_directory(folder)) return steps;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_directory()) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

Latest find_latest(const std::string& run_or_folder) {
  const std::string folder = checkpoints_folder(run_or_folder);
  auto steps = list_steps(folder);
  Latest latest;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string path = path_of(folder, *step);
    if (auto fault = find_fault(path, Through::page_cache)) {
      latest.skipped.push_back({path, *fault});
      continue;
    }
    latest.path = path;
    latest.step = *step;
    return latest;
  }
  return latest;
}

std::vector<std::string> newest_first(const std::string& run_or_folder) {
  const std::string folder = checkpoints_folder(run_or_folder);
  const auto steps = list_steps(folder);
  std::vector<std::string> paths;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) paths.push_back(path_of(folder, *step));
  return paths;
}

Pruned prune(const std::string& run_or_folder, const Keep& keep) {
  CARAVAN_CHECK(keep.latest >= 1, ConfigError,
                fmt::format("keep_latest is {} (at least 1 must stay)", keep.latest));
  const std::string folder = checkpoints_folder(run_or_folder);
  const auto steps = list_steps(folder);
  Pruned pruned;
  if (static_cast<std::int64_t>(steps.size()) <= keep.latest) return pruned;
  if (auto fault = find_fault(path_of(folder, steps.back()), Through::disk)) {
    pruned.problems.push_back({path_of(folder, steps.back()), *fault});
    return pruned;
  }
  for (auto step = steps.begin(); step != steps.end() - keep.latest; ++step) {
    if (keep.every > 0 && *step % keep.every == 0) continue;
    try {
      remove_committed(folder, step_folder(*step));
      pruned.removed.push_back(path_of(folder, *step));
    } catch (const Error& error) {
      pruned.problems.push_back({path_of(folder, *step), error.what()});
    }
  }
  return pruned;
}

}  // namespace caravan::io
