#include "io/checkpoint/catalogue.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/misnamed.hpp"
#include "io/checkpoint/staging.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

std::string path_of(const std::string& folder, std::int64_t step) {
  return (fs::path(folder) / step_folder(step)).string();
}

/// Why this is not the complete checkpoint that its name promises; nothing when it is.
std::optional<std::string> find_fault(const std::string& path, Check check, Through through) {
  if (auto why = misnamed(path)) return why;
  try {
    verify_files(path, read_manifest(path), check, through);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

void remove(const std::string& folder, std::int64_t step, Pruned& pruned) {
  try {
    remove_committed(folder, step_folder(step));
    pruned.removed.push_back(path_of(folder, step));
  } catch (const Error& error) {
    pruned.problems.push_back({path_of(folder, step), error.what()});
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

namespace {

/// One look; nothing when a folder went away meanwhile: the run prunes, and has a newer one by now.
std::optional<Latest> look_for_latest(const std::string& folder, Check check) {
  const auto steps = list_steps(folder);
  Latest latest;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string path = path_of(folder, *step);
    if (auto fault = find_fault(path, check, Through::page_cache)) {
      if (!fs::exists(path)) return std::nullopt;
      latest.skipped.push_back({path, *fault});
      continue;
    }
    latest.path = path;
    latest.step = *step;
    return latest;
  }
  return latest;
}

}  // namespace

Latest find_latest(const std::string& run_or_folder, Check check) {
  const std::string folder = checkpoints_folder(run_or_folder);
  for (int looks = 0; looks < kMostLooks; ++looks) {
    if (auto latest = look_for_latest(folder, check)) return *latest;
  }
  throw IoError(
      fmt::format("the checkpoints of {} went away while they were read, {} times (its run prunes "
                  "faster than they can be read). Raise its checkpoint.keep_latest?",
                  folder, kMostLooks));
}

std::vector<std::string> newest_first(const std::string& run_or_folder) {
  const std::string folder = checkpoints_folder(run_or_folder);
  const auto steps = list_steps(folder);
  std::vector<std::string> paths;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) paths.push_back(path_of(folder, *step));
  return paths;
}

Pruned prune(const std::string& run_or_folder, const Keep& keep, std::int64_t committed) {
  CARAVAN_CHECK(keep.latest >= 1, ConfigError,
                fmt::format("keep_latest is {} (at least 1 must stay)", keep.latest));
  const std::string folder = checkpoints_folder(run_or_folder);
  const auto steps = list_steps(folder);
  Pruned pruned;
  if (auto fault = find_fault(path_of(folder, committed), Check::everything, Through::disk)) {
    pruned.problems.push_back({path_of(folder, committed), *fault});
    return pruned;
  }
  std::int64_t kept = 1;
  std::vector<std::int64_t> old;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string path = path_of(folder, *step);
    const bool is_candidate = *step < committed;
    if (is_candidate && kept >= keep.latest && keep.every > 0 && *step % keep.every == 0) continue;
    if (auto why = misnamed(path)) {
      pruned.problems.push_back({path, *why});
    } else if (is_candidate && kept++ >= keep.latest) {
      old.push_back(*step);
    }
  }
  for (auto step = old.rbegin(); step != old.rend(); ++step) remove(folder, *step, pruned);
  return pruned;
}

}  // namespace caravan::io
