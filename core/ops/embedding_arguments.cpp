#include <fmt/format.h>

#include "caravan/ops/embedding.hpp"

namespace caravan {

std::string problem_with(const AddPositions& args, std::int64_t table_rows) {
  if (args.positions.empty()) return problem_with(args.tokens, table_rows);
  for (std::int64_t t = 0; t < args.positions.extent(0); ++t) {
    const std::int32_t position = args.positions.as<std::int32_t>()[t];
    if (position >= table_rows)
      return fmt::format("position {} (the table of positions has {} rows)", position, table_rows);
  }
  return {};
}

}  // namespace caravan
