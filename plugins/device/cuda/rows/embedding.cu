#include <algorithm>
#include <limits>
#include <string>

#include "caravan/ops/id_range.hpp"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

/// An id that no rank has becomes a row that is not a number, and so the loss: the host does not see the ids,
/// and a wrong vector must not pass for a right one.
template <class T>
struct EmbeddingRows {
  const std::int32_t* ids;
  Rows<T> table, out;
  IdRange own, all;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    const std::int32_t id = __ldg(ids + row);
    Floats<N> v;
    if (own.has(id) && all.has(id)) {
      v = load<N>(table.at(id - own.first, column));
    } else {
      const float of_others = all.has(id) ? 0.0f : std::numeric_limits<float>::quiet_NaN();
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] = of_others;
    }
    store(out.at(row, column), v);
  }
};

template <class T>
struct PositionRows {
  Rows<T> x;
  Rows<float> table;
  TokenMap tokens;
  const std::int32_t* positions;
  std::int64_t table_rows;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    const std::int64_t position = positions ? positions[row] : tokens.position(row);
    if (position < 0) return;
    Floats<N> v = load<N>(x.at(row, column));
    const Floats<N> p = load<N>(table.at(min(position, table_rows - 1), column));
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] += p[i];
    store(x.at(row, column), v);
  }
};

}  // namespace

void CudaOps::embedding_forward(const EmbeddingForward& args) {
  const Call call("embedding_forward");
  const DType type = call.compute_type("table", args.table);
  const Matrix table = call.matrix("table", args.table, type, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, type, kAny, table.columns);
  const std::int32_t* ids = call.indices("ids", args.ids, out.rows);
  const IdRange all = ids_of_all_ranks(args, table.rows);
  with_type_and_step(type, rows_of_16_bytes({table, out}), [&]<class T, int N>() {
    launch_rows<N>(context_, call, out.rows, out.columns,
                   EmbeddingRows<T>{ids, Rows<T>(table), Rows<T>(out), {args.first_id, table.rows}, all});
  });
}

void CudaOps::add_positions(const AddPositions& args) {
  const Call call("add_positions");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix table = call.matrix("table", args.table, DType::f32, kAny, x.columns);
  const std::int32_t* positions =
      args.positions.empty() ? nullptr : call.indices("positions", args.positions, x.rows);
  const std::string problem = positions ? std::string() : problem_with(args.tokens, table.rows);
  if (!problem.empty()) call.fail(problem);
  with_type_and_step(type, rows_of_16_bytes({x, table}), [&]<class T, int N>() {
    launch_rows<N>(context_, call, x.rows, x.columns,
                   PositionRows<T>{Rows<T>(x), Rows<float>(table), args.tokens, positions, table.rows});
  });
}

}  // namespace caravan::cuda
