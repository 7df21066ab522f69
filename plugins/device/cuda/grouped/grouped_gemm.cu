#include "plugins/device/cuda/device/workspace.hpp"
#include "plugins/device/cuda/grouped/grouped_gemm.hpp"
#include "plugins/device/cuda/grouped/grouped_launch.cuh"

namespace caravan::cuda {
namespace {

using hopper::Major;

/// Two teams throughout, so that a tile is stored while the next one is summed.
using Square = TileShape<128, 128, 2, 2, 6, 2>;
using Wide = TileShape<128, 192, 2, 2, 4, 2>;
/// A box more on its way in each direction for the old values.
using WideF32 = TileShape<128, 192, 2, 2, 4, 4>;

using BackwardWeight = Recipe<Product::weights, Major::outputs, Shared::b, WideF32>;

/// Tensor maps with the boxes that load_a, load_b and the stores ask for.
template <class R>
GroupedMaps maps_of(Context& context, const GroupedOperands& operands, const GroupedCall& call) {
  const TensorMaps& maps = context.keep<TensorMaps>();
  GroupedMaps result{};
  const bool a_by_depth = R::kMajorA == Major::depth, b_by_depth = R::kMajorB == Major::depth;
  result.a = maps.boxes(operands.a, 64, (a_by_depth ? R::kTileRows : kTileDepth) / R::kShareA);
  result.b = maps.boxes(operands.b, 64, (b_by_depth ? R::kTileColumns : kTileDepth) / R::kShareB);
  if (R::kOfRows && call.out_f32) return result;
  const MappedTensor out{call.out,
                         R::kOfRows ? DType::bf16 : DType::f32,
                         call.columns,
                         R::kOfRows ? call.rows : call.out_rows,
                         R::kOfRows ? 1 : call.groups,
                         call.out_stride,
                         R::kOfRows ? call.out_stride * call.rows : call.out_group};
  result.out = maps.boxes(out, R::kOfRows ? 64 : 32, 16);
  return result;
}

template <Major kMajorB>
void launch_rows(Context& context, const GroupedOperands& operands, const GroupedCall& call, Tiles tiles) {
  using WideRows = Recipe<Product::rows, kMajorB, Shared::b, Wide>;
  using SquareRows = Recipe<Product::rows, kMajorB, Shared::a, Square>;
  if (tiles == Tiles::wide)
    return launch<WideRows>(context, maps_of<WideRows>(context, operands, call), call);
  launch<SquareRows>(context, maps_of<SquareRows>(context, operands, call), call);
}

void launch_weights(Context& context, const GroupedOperands& operands, GroupedCall call) {
  if (call.squares) {
    const auto parts = static_cast<std::size_t>(most_units<BackwardWeight>(call)) * BackwardWeight::kCluster *
                       BackwardWeight::kTeamWarps;
    context.workspace().begin(parts * sizeof(double), 1);
    call.parts = context.workspace().take<double>(parts);
    call.ticket = context.keep<Ticket>().counter();
  }
  launch<BackwardWeight>(context, maps_of<BackwardWeight>(context, operands, call), call);
}

bool fits_output(const GroupedCall& call, Product product) {
  const bool starts = reinterpret_cast<std::uintptr_t>(call.out) % 16 == 0;
  if (product == Product::weights) return starts && call.out_stride % 4 == 0 && call.out_group % 4 == 0;
  return starts &&
         (call.out_f32 ? call.out_stride % 2 == 0 && call.columns % 2 == 0 : call.out_stride % 8 == 0);
}

}  // namespace

bool fits_tensor_cores(const GroupedOperands& operands, const GroupedCall& call, Product product) {
  return operands.a.dtype == DType::bf16 && fits_copy_engine(operands.a) && fits_copy_engine(operands.b) &&
         fits_output(call, product);
}

Tiles best_tiles(const GroupedCall& call, Product product) {
  constexpr std::int64_t kLarge = std::int64_t{24} << 20;  // elements; 48 MiB
  const bool large = std::int64_t{call.columns} * call.depth >= kLarge;
  return product == Product::weights || large ? Tiles::wide : Tiles::square;
}

void grouped_gemm(Context& context, const GroupedOperands& operands, const GroupedCall& call, Product product,
                  Tiles tiles) {
  if (product == Product::weights) return launch_weights(context, operands, call);
  if (operands.b_depth_adjacent) return launch_rows<Major::depth>(context, operands, call, tiles);
  launch_rows<Major::outputs>(context, operands, call, tiles);
}

}  // namespace caravan::cuda
