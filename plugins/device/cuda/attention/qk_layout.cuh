#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "caravan/ops/attention.hpp"
#include "plugins/device/cuda/attention/qk_pieces.cuh"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/dtype.cuh"

// What the operators that prepare queries and keys check alike, and how threads share a head in them.
namespace caravan::cuda {

/// [P, D/2] f32, or absent.
struct RotaryTables {
  Matrix cos, sin;
};

/// Heads, and the tables where there are some.
inline RotaryTables check_rotary(const Call& call, const QkPrepare& how) {
  constexpr std::int64_t kWidest = kWarp * kHeld;
  const auto text = [](std::int64_t number) { return std::to_string(number); };
  if (const std::string problem = problem_with(how); !problem.empty()) call.fail(problem);
  if (how.head_dim > kWidest)
    call.fail("head_dim " + text(how.head_dim) + " (no kernel serves more than " + text(kWidest) + ")");
  if (how.cos.empty() != how.sin.empty()) call.fail("one of cos and sin is given (rotation needs both)");
  if (!how.cos.empty() && how.head_dim % 2 != 0)
    call.fail("head_dim " + text(how.head_dim) + " (rotation needs pairs)");
  const Matrix cos = call.optional_matrix("cos", how.cos, DType::f32, kAny, how.head_dim / 2);
  return {cos, call.optional_matrix("sin", how.sin, DType::f32, cos.rows, how.head_dim / 2)};
}

/// Whether 16 bytes of every head and table are read at once.
inline bool serves_wide_heads(std::int64_t width, std::initializer_list<Matrix> heads,
                              const RotaryTables& tables) {
  return width % kHeld == 0 && rows_of_16_bytes(heads) && starts_on_16_bytes({tables.cos, tables.sin}) &&
         tables.cos.stride % 4 == 0 && tables.sin.stride % 4 == 0;
}

/// run.operator()<T, Layout>(): few pieces, so that registers serve many threads, but no lane without work in
/// a head of 96.
template <class Run>
void with_layout(DType type, bool wide, std::int64_t width, const Run& run) {
  with_type(type, [&]<class T>() {
    if (!wide) return run.template operator()<T, NarrowPieces>();
    if (width <= 32) return run.template operator()<T, WidePieces<4, 1>>();
    if (width <= 64) return run.template operator()<T, WidePieces<8, 1>>();
    if (width <= 96) return run.template operator()<T, WidePieces<4, 3>>();
    if (width <= 128) return run.template operator()<T, WidePieces<8, 2>>();
    run.template operator()<T, WidePieces<8, 4>>();
  });
}

}  // namespace caravan::cuda
