#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/grouped/grouped_operands.hpp"
#include "plugins/device/cuda/products/few_rows.hpp"

// Three kernels: one for each half of the SwiGLU blocks, of the shared expert and of the others together, so
// that weights of any of them are always on their way, and one for the sum.
namespace caravan::cuda {
namespace {

/// Both halves of one kind of expert.
struct Halves {
  FewRowsProduct gate_up, down;

  bool exists() const { return down.w.data != nullptr; }
};

struct Experts {
  Matrix x, y, base, row_of;
  Halves shared, routed;
};

void check_widths(const Call& call, const DecodeExperts& args, const Experts& e) {
  const MappedTensor &gate_up = e.routed.gate_up.w, &down = e.routed.down.w;
  if (gate_up.matrices == down.matrices && gate_up.rows == 2 * down.columns &&
      gate_up.columns == e.x.columns && down.rows == e.x.columns)
    return;
  call.fail("weights of " + to_string(args.gate_up.shape) + " and " + to_string(args.down.shape) +
            " for rows of " + std::to_string(e.x.columns));
}

Halves shared_of(const Call& call, const DecodeExperts& args, const Experts& e) {
  if (args.shared_down.empty()) return {};
  const DType type = e.x.dtype;
  const Matrix down = call.matrix("shared_down", args.shared_down, type, e.x.columns, kAny),
               gate_up =
                   call.matrix("shared_gate_up", args.shared_gate_up, type, 2 * down.columns, e.x.columns),
               activated =
                   call.matrix("shared_activated", args.shared_activated, type, e.x.rows, down.columns);
  return {{.x = e.x, .w = mapped(gate_up), .y = {}, .activated = activated},
          {.x = activated, .w = mapped(down), .y = e.y, .addend = e.base}};
}

Halves routed_of(const Call& call, const DecodeExperts& args, const Experts& e) {
  const DType type = e.x.dtype;
  const MappedTensor down = experts(call, "down", args.down, type),
                     gate_up = experts(call, "gate_up", args.gate_up, type);
  const std::int64_t rows = e.x.rows * e.row_of.columns;
  const Matrix activated = call.matrix("activated", args.activated, type, rows, down.columns),
               out = call.matrix("out", args.out, type, rows, e.x.columns);
  const std::int32_t* const offsets = call.indices("offsets", args.offsets, down.matrices + 1);
  FewRowsProduct first{.x = e.x, .w = gate_up, .offsets = offsets, .y = {}, .activated = activated};
  first.choice_of = call.indices("choice_of", args.choice_of, rows);
  first.weights = call.optional_matrix("w", args.w, DType::f32, e.x.rows, e.row_of.columns);
  first.top_k = e.row_of.columns;
  return {first, {.x = activated, .w = down, .offsets = offsets, .y = out}};
}

Experts checked(const Call& call, const DecodeExperts& args) {
  const DType type = call.compute_type("x", args.x);
  Experts e;
  e.x = call.matrix("x", args.x, type, kAny, kAny);
  e.y = call.matrix("y", args.y, type, e.x.rows, e.x.columns);
  e.base = call.optional_matrix("base", args.base, type, e.x.rows, e.x.columns);
  e.row_of = call.matrix("row_of", args.row_of, DType::i32, e.x.rows, kAny);
  e.shared = shared_of(call, args, e);
  e.routed = routed_of(call, args, e);
  check_widths(call, args, e);
  return e;
}

bool is_few(const Experts& e) {
  return is_of_few_rows(e.routed.gate_up) && is_of_few_rows(e.routed.down) &&
         (!e.shared.exists() || (is_of_few_rows(e.shared.gate_up) && is_of_few_rows(e.shared.down)));
}

void make(const Context& context, const FewRowsProduct& shared, const FewRowsProduct& routed) {
  if (shared.w.data) return few_rows_products(context, shared, routed);
  few_rows_product(context, routed);
}

}  // namespace

bool CudaOps::serves(const DecodeExperts& args) const {
  return is_few(checked(Call("decode_experts"), args));
}

void CudaOps::decode_experts(const DecodeExperts& args) {
  const Call call("decode_experts");
  const Experts e = checked(call, args);
  if (!is_few(e))
    call.fail(std::to_string(e.x.rows) + " tokens with " + std::to_string(e.routed.down.y_rows()) +
              " choices of type " + std::string(name_of(e.x.dtype)) + " (Ops::serves says which it takes)");
  make(context_, e.shared.gate_up, e.routed.gate_up);
  make(context_, e.shared.down, e.routed.down);
  combine_forward({args.out, args.row_of, args.v, e.shared.exists() ? args.y : args.base, args.y});
}

}  // namespace caravan::cuda
