#include "plugins/device/cuda/decoding/cached_rows.cuh"

#include <limits>
#include <string>

namespace caravan::cuda {
namespace {

int count_of(const Call& call, const char* what, std::int64_t count) {
  if (count > std::numeric_limits<int>::max() / 2)
    call.fail(std::to_string(count) + " " + what + " (more than a kernel counts)");
  return static_cast<int>(count);
}

}  // namespace

CachedRows cached_rows(const Call& call, const CacheRows& rows, const PagedKeys& cache, DType type,
                       std::int64_t tokens) {
  constexpr std::int64_t kMostRows = 65535;
  if (tokens > kMostRows)
    call.fail(std::to_string(tokens) + " rows (at most " + std::to_string(kMostRows) + ")");
  call.check("keys", cache.keys, {type, 4, {kAny, kAny, kAny, kAny}});
  const Shape shape = cache.keys.shape;
  call.check("values", cache.values, {type, 4, {shape[0], shape[1], shape[2], shape[3]}});
  if (!cache.keys.contiguous() || !cache.values.contiguous()) call.fail("a cache that is not contiguous");
  if (shape[1] < 1) call.fail("pages of no positions");
  const Matrix pages = call.matrix("pages", rows.pages, DType::i32, kAny, kAny);
  if (pages.rows > 1 && pages.stride != pages.columns) call.fail("'pages' has rows apart from each other");
  return {call.indices("slots", rows.slots, tokens),
          call.indices("positions", rows.positions, tokens),
          pages.as<std::int32_t>(),
          count_of(call, "positions of a ring", rows.ring),
          count_of(call, "rows", tokens),
          count_of(call, "slots", pages.rows),
          count_of(call, "pages of a slot", pages.columns),
          count_of(call, "pages", shape[0]),
          count_of(call, "positions of a page", shape[1]),
          count_of(call, "heads", shape[2]),
          count_of(call, "elements of a head", shape[3])};
}

}  // namespace caravan::cuda
