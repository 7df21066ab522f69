#include "io/checkpoint/misnamed.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "caravan/error.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"

namespace caravan::io {

std::optional<std::string> misnamed(const std::string& path, std::int64_t step) {
  std::error_code unknown;
  if (std::filesystem::is_empty(path, unknown) && !unknown) return "it is empty";
  try {
    const std::int64_t inside = read_manifest(path).step;
    if (inside == step) return std::nullopt;
    return fmt::format("its manifest is that of step {} (was the folder renamed or copied?)", inside);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<std::string> misnamed(const std::string& path) {
  const auto step = step_of(std::filesystem::path(path).filename().string());
  return step ? misnamed(path, *step) : std::nullopt;
}

}  // namespace caravan::io
