#include <fmt/format.h>

#include "caravan/ops/logit_clip.hpp"

namespace caravan {

std::string problem_with(const ClipHeads& args) {
  const std::int64_t queries = args.largest.empty() ? 0 : args.largest.extent(0);
  if (queries < 1 || args.kv_heads < 1 || queries % args.kv_heads != 0)
    return fmt::format("{} query heads on {} key/value heads (must be a multiple)", queries, args.kv_heads);
  if (!(args.limit > 0)) return fmt::format("limit {} (must be above 0)", args.limit);
  const std::int64_t elements = args.heads() * args.head_elements, end = args.first + args.master.count();
  if (args.head_elements < 1 || args.first < 0 || end > elements)
    return fmt::format("elements [{}, {}) of {} heads of {} each (there are no such)", args.first, end,
                       args.heads(), args.head_elements);
  return {};
}

}  // namespace caravan
