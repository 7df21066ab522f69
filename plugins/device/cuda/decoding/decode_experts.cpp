#include "plugins/device/cuda/decoding/decode_experts.hpp"

#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/grouped/grouped_operands.hpp"

namespace caravan::cuda {
namespace {

Matrix rows_of(const MappedTensor& w) {
  return {w.data, w.dtype, w.matrices * w.rows, w.columns, w.row_stride};
}

FewExperts checked(const Call& call, const DecodeExperts& args) {
  const DType type = call.compute_type("x", args.x);
  FewExperts e;
  e.x = call.matrix("x", args.x, type, kAny, kAny);
  e.y = call.matrix("y", args.y, type, e.x.rows, e.x.columns);
  e.base = call.optional_matrix("base", args.base, type, e.x.rows, e.x.columns);
  e.row_of = call.matrix("row_of", args.row_of, DType::i32, e.x.rows, kAny);
  e.w = call.optional_matrix("w", args.w, DType::f32, e.x.rows, e.row_of.columns);
  e.v = call.optional_matrix("v", args.v, DType::f32, e.x.rows, e.row_of.columns);
  e.down = experts(call, "down", args.down, type);
  e.gate_up = experts(call, "gate_up", args.gate_up, type);
  e.activated = call.matrix("activated", args.activated, type, e.x.rows * e.row_of.columns, e.down.columns);
  if (e.gate_up.matrices != e.down.matrices || e.gate_up.rows != 2 * e.down.columns ||
      e.gate_up.columns != e.x.columns || e.down.rows != e.x.columns)
    call.fail("weights of " + to_string(args.gate_up.shape) + " and " + to_string(args.down.shape) +
              " for rows of " + std::to_string(e.x.columns));
  e.offsets = call.indices("offsets", args.offsets, e.down.matrices + 1);
  e.choice_of = call.indices("choice_of", args.choice_of, e.activated.rows);
  if (args.shared_down.empty()) return e;
  const Matrix down = call.matrix("shared_down", args.shared_down, type, e.x.columns, kAny);
  e.shared_down = mapped(down);
  e.shared_gate_up =
      mapped(call.matrix("shared_gate_up", args.shared_gate_up, type, 2 * down.columns, e.x.columns));
  e.shared_activated = call.matrix("shared_activated", args.shared_activated, type, e.x.rows, down.columns);
  return e;
}

/// Few, and all of it is read 16 bytes at a time.
bool is_few(const FewExperts& e) {
  return e.x.dtype == DType::bf16 && e.x.rows > 0 && e.x.rows <= kMostFewTokens && e.activated.rows > 0 &&
         e.activated.rows <= kMostFewChoices && e.gate_up.matrix_stride % 8 == 0 &&
         e.down.matrix_stride % 8 == 0 &&
         rows_of_16_bytes({e.x, e.activated, e.shared_activated, rows_of(e.gate_up), rows_of(e.down),
                           e.has_shared() ? rows_of(e.shared_gate_up) : Matrix{},
                           e.has_shared() ? rows_of(e.shared_down) : Matrix{}});
}

}  // namespace

bool CudaOps::serves(const DecodeExperts& args) const {
  return is_few(checked(Call("decode_experts"), args));
}

void CudaOps::decode_experts(const DecodeExperts& args) {
  const Call call("decode_experts");
  const FewExperts e = checked(call, args);
  if (!is_few(e))
    call.fail(std::to_string(e.x.rows) + " tokens with " + std::to_string(e.activated.rows) +
              " choices of type " + std::string(name_of(e.x.dtype)) + " (Ops::serves says which it takes)");
  experts_gate_up(context_, e);
  experts_down(context_, e);
}

}  // namespace caravan::cuda
