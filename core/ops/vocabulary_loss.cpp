#include <fmt/format.h>

#include "caravan/ops/loss.hpp"

namespace caravan {

std::string problem_with_rows(const VocabularyLoss& args, std::int64_t tokens) {
  if (args.first_row >= 0 && args.rows >= 0 && args.rows <= tokens - args.first_row) return {};
  return fmt::format("{} rows from {} (there are {} tokens)", args.rows, args.first_row, tokens);
}

}  // namespace caravan
