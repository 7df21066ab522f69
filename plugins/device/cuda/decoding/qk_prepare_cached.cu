#include <string>

#include "plugins/device/cuda/attention/qk_layout.cuh"
#include "plugins/device/cuda/attention/qk_pieces.cuh"
#include "plugins/device/cuda/decoding/cached_rows.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 128;

template <class T>
struct Preparation {
  Rows<T> qkv;
  Rows<float> cos, sin;
  CachedRows rows;
  T *keys, *values;
  std::int64_t table_rows;
  int heads, all_heads;  ///< queries; queries, keys and values
  float norm_eps, temperature_scale;
  double floor_scale;
};

enum class Kind { query, key, value };

/// Where one group of lanes works. Groups with nothing to do stay, because their warp's sums need them.
template <class T>
struct Spot {
  int token, head, position;
  Kind kind;
  T *to = nullptr, *in_place = nullptr;  ///< null: nothing is written

  __device__ Spot(const Preparation<T>& p, std::int64_t group) {
    const bool exists = group < std::int64_t{p.rows.rows} * p.all_heads;
    if (!exists) group = 0;
    token = static_cast<int>(group / p.all_heads);
    head = static_cast<int>(group % p.all_heads);
    kind = head < p.heads ? Kind::query : head < p.heads + p.rows.kv_heads ? Kind::key : Kind::value;
    position = p.rows.positions[token];
    const bool is_placed = exists && !p.rows.is_padding(token) && position >= 0 && position < p.table_rows;
    if (!is_placed) {
      position = 0;
      return;
    }
    if (kind != Kind::value) in_place = p.qkv.at(token, std::int64_t{head} * p.rows.width);
    if (kind == Kind::query) return;
    const std::int64_t place = p.rows.place(p.rows.slots[token], position);
    const int own = (head - p.heads) % p.rows.kv_heads;
    if (place >= 0) to = (kind == Kind::key ? p.keys : p.values) + (place + own) * p.rows.width;
  }
};

template <class T>
__device__ float temperature(const Preparation<T>& p, const Spot<T>& spot) {
  if (p.floor_scale <= 0 || spot.kind != Kind::query) return 1;
  return 1 + p.temperature_scale * log1pf(static_cast<float>(floor((spot.position + 1) / p.floor_scale)));
}

/// Values go to the cache as they are; the norm of a head is that before its rotation, which does not change
/// it.
template <class T, class Layout>
__global__ void __launch_bounds__(kThreads) prepare_kernel(Preparation<T> p) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes, width = p.rows.width;
  const Spot<T> spot(p,
                     std::int64_t{blockIdx.x} * (kThreads / Layout::kLanes) + threadIdx.x / Layout::kLanes);
  const bool is_value = spot.kind == Kind::value, turns = p.cos.data != nullptr && !is_value;
  Head<T, Layout> x;
  Turn<Layout> turn;
  x.read(p.qkv.at(spot.token, std::int64_t{spot.head} * width), lane, width);
  if (turns) turn.read(p.cos.at(spot.position), p.sin.at(spot.position), lane, width);
  float factor = temperature(p, spot);
  if (p.norm_eps > 0) {
    const float mean = x.dot(x, lane, width) / static_cast<float>(width);
    if (!is_value) factor *= 1.0f / sqrtf(mean + p.norm_eps);
    x.stay_raw();
  }
#pragma unroll
  for (int k = 0; k < Layout::kPieces; ++k) {
    Floats<kHeld> v = floats_of(x.raw[k]);
    if (turns) turn.rotate(v, k, 1);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) v[i] *= factor;
    if (spot.in_place) Layout::write(spot.in_place, lane, k, width, v);
    if (spot.to) Layout::write(spot.to, lane, k, width, v);
  }
}

}  // namespace

void CudaOps::qk_prepare_cached(const QkPrepareCached& args) {
  const Call call("qk_prepare_cached");
  const QkPrepare& how = args.how;
  const DType type = call.compute_type("qkv", args.qkv);
  const Matrix qkv = call.matrix("qkv", args.qkv, type, kAny, (how.heads + 2 * how.kv_heads) * how.head_dim);
  const CachedRows rows = cached_rows(call, args.rows, args.cache, type, qkv.rows);
  const RotaryTables tables = check_rotary(call, how);
  if (rows.kv_heads != how.kv_heads || rows.width != how.head_dim)
    call.fail("a cache of " + std::to_string(rows.kv_heads) + " heads of " + std::to_string(rows.width) +
              " (the keys are " + std::to_string(how.kv_heads) + " of " + std::to_string(how.head_dim) + ")");
  const std::int64_t groups = qkv.rows * (how.heads + 2 * how.kv_heads);
  if (groups == 0) return;
  const Matrix keys{args.cache.keys.data, type, 1, how.head_dim, how.head_dim},
      values{args.cache.values.data, type, 1, how.head_dim, how.head_dim};
  const bool wide = serves_wide_heads(how.head_dim, {qkv, keys, values}, tables);
  with_layout(type, wide, how.head_dim, [&]<class T, class Layout>() {
    launch_following(
        prepare_kernel<T, Layout>, dim3(blocks_for(groups, kThreads / Layout::kLanes)), dim3(kThreads),
        context_.stream(), 0,
        Preparation<T>{Rows<T>(qkv), Rows<float>(tables.cos), Rows<float>(tables.sin), rows, keys.as<T>(),
                       values.as<T>(), tables.cos ? tables.cos.rows : std::int64_t{1} << 31,
                       static_cast<int>(how.heads), static_cast<int>(how.heads + 2 * how.kv_heads),
                       how.norm_eps, how.temperature_scale, how.floor_scale});
  });
}

}  // namespace caravan::cuda
