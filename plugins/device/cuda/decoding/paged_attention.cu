#include "plugins/device/cuda/decoding/paged_attention.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "plugins/device/cuda/decoding/paged_keys.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"

namespace caravan::cuda {
namespace {

bool reads_16_bytes(const PagedAttention& args) {
  const auto fits = [](const TensorView& view) {
    return reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0;
  };
  return fits(args.q) && fits(args.cache.keys) && fits(args.cache.values) && args.q.extent(2) % kHeld == 0 &&
         args.q.stride(0) % kHeld == 0 && args.q.stride(1) % kHeld == 0;
}

PagedArgs args_of(const Call& call, const PagedAttention& args) {
  const DType type = call.compute_type("q", args.q);
  call.check("q", args.q, {type, 3, {kAny, kAny, kAny}});
  const std::int64_t tokens = args.q.extent(0), heads = args.q.extent(1), width = args.q.extent(2);
  call.check("out", args.out, {type, 3, {tokens, heads, width}});
  const CachedRows rows = cached_rows(call, args.rows, args.cache, type, tokens);
  if (rows.width != width || width > kMostWidth)
    call.fail("heads of " + std::to_string(width) + " (the cache has heads of " + std::to_string(rows.width) +
              ", and no kernel serves more than " + std::to_string(kMostWidth) + ")");
  if (rows.kv_heads == 0 || heads % rows.kv_heads != 0)
    call.fail(std::to_string(heads) + " query heads on " + std::to_string(rows.kv_heads) +
              " key/value heads (must be a multiple)");
  return {type,
          args.q.data,
          args.cache.keys.data,
          args.cache.values.data,
          args.out.data,
          args.q.stride(0),
          args.q.stride(1),
          args.out.stride(0),
          args.out.stride(1),
          rows,
          static_cast<int>(heads),
          static_cast<int>(heads / rows.kv_heads),
          static_cast<int>(std::min<std::int64_t>(args.chunk, std::numeric_limits<int>::max())),
          args.scale,
          reads_16_bytes(args)};
}

}  // namespace

void CudaOps::paged_attention(const PagedAttention& args) {
  PagedArgs all = args_of(Call("paged_attention"), args);
  if (all.rows.rows == 0 || all.rows.width == 0) return;
  all.tiles = serves_tiles(all);
  if (all.tiles) paged_tiles(all, context_);
  paged_rows(all, context_.stream());
}

}  // namespace caravan::cuda
