#include "jobs/compare_runs/run_job.hpp"

#include <algorithm>
#include <filesystem>

#include "caravan/config.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// `path`: a run's folder, or a file in one.
std::optional<Config> job_of(const std::string& path) {
  std::error_code ignored;
  const fs::path folder = fs::is_directory(path, ignored) ? fs::path(path) : fs::absolute(path).parent_path();
  const fs::path file = folder / "job.yaml";
  if (!fs::exists(file, ignored)) return std::nullopt;
  return Config::load(file.string());
}

}  // namespace

std::optional<std::vector<Difference>> differences_of_jobs(const std::string& a, const std::string& b) {
  const std::optional<Config> of_a = job_of(a), of_b = job_of(b);
  if (!of_a || !of_b) return std::nullopt;
  std::vector<Difference> found = differences_of(*of_a, *of_b);
  std::erase_if(found, [](const Difference& each) { return each.key == "name" || each.key == "output"; });
  return found;
}

}  // namespace caravan::jobs
