#include "io/checkpoint/layout.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

namespace caravan::io {
namespace {

constexpr std::string_view kStepPrefix = "step-";
constexpr std::size_t kMostNameBytes = 1024;

}  // namespace

std::string step_folder(std::int64_t step) {
  return fmt::format("{}{:08d}", kStepPrefix, step);
}

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kStepPrefix.size());
  std::int64_t step = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  const bool is_step = problem == std::errc() && end == digits.data() + digits.size() && step >= 0;
  return is_step && step_folder(step) == name ? std::optional(step) : std::nullopt;
}

std::string checkpoints_folder(const std::string& run_or_folder) {
  const auto inner = std::filesystem::path(run_or_folder) / "checkpoints";
  return std::filesystem::is_directory(inner) ? inner.string() : run_or_folder;
}

void check_object_name(const std::string& name) {
  static constexpr std::array<std::string_view, 4> kRoots{"/model/", "/optimizer/", "/state/", "/other/"};
  const bool known = std::any_of(kRoots.begin(), kRoots.end(), [&](std::string_view root) {
    return name.starts_with(root) && name.size() > root.size();
  });
  CARAVAN_CHECK(
      known, IoError,
      fmt::format(
          "'{}' cannot stand in a checkpoint (names start with /model/, /optimizer/, /state/ or /other/)",
          name));
  const bool printable =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F; });
  const bool whole = name.find("//") == std::string::npos && name.find("/./") == std::string::npos &&
                     !name.ends_with('/') && !name.ends_with("/.");
  CARAVAN_CHECK(
      printable && whole && name.size() <= kMostNameBytes, IoError,
      fmt::format("'{}' is no name for a checkpoint (printable parts between single slashes)", name));
}

}  // namespace caravan::io
