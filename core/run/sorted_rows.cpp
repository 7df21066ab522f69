#include "caravan/dispatch.hpp"

namespace caravan::sorted_rows {
namespace {

/// The view where scores are on this side of the experts; else empty.
TensorView only_on(ScoreSide side, const Routing& routing, TensorView view) {
  return routing.score_side == side ? view : TensorView{};
}

}  // namespace

void permute(Ops& ops, const Routing& routing, TensorView x, TensorView rows) {
  ops.permute_forward({x, routing.choice_of, only_on(ScoreSide::input, routing, routing.weights),
                       routing.experts.extent(1), rows});
}

void combine(Ops& ops, const Routing& routing, const Combine& args) {
  ops.combine_forward(
      {args.rows, routing.row_of, only_on(ScoreSide::output, routing, routing.weights), args.base, args.y});
}

void combine_gradient(Ops& ops, const Routing& routing, const CombineGradient& args, TensorView drows) {
  constexpr ScoreSide kSide = ScoreSide::output;
  ops.combine_backward({args.dy, only_on(kSide, routing, args.rows), routing.row_of,
                        only_on(kSide, routing, routing.weights), drows,
                        only_on(kSide, routing, args.dweights)});
}

void permute_gradient(Ops& ops, const Routing& routing, const DispatchGradient& args, TensorView drows) {
  constexpr ScoreSide kSide = ScoreSide::input;
  ops.permute_backward({only_on(kSide, routing, args.x), drows, routing.row_of,
                        only_on(kSide, routing, routing.weights), args.dx,
                        only_on(kSide, routing, args.dweights), args.accumulate});
}

}  // namespace caravan::sorted_rows
