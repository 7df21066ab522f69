#include "jobs/inspect/value_text.hpp"

#include <fmt/format.h>

namespace caravan::jobs {

std::string value_text(const io::CheckpointValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  return std::get<std::string>(value);
}

}  // namespace caravan::jobs
