#pragma once

#include "plugins/device/cuda/grouped/grouped_tiles.cuh"
#include "plugins/device/cuda/kernels/hopper.cuh"
#include "plugins/device/cuda/kernels/wgmma.cuh"

// Sizes and orders that one way to run a grouped product is made of.
namespace caravan::cuda {

inline constexpr int kTileDepth = 64;
inline constexpr int kSlab = 64 * 128;      ///< bytes of 64 rows of 128 bytes
inline constexpr int kBoxBytes = 16 * 128;  ///< results of a warp on their way: 16 rows of 128 bytes
inline constexpr int kConsumers = 2;        ///< warpgroups that multiply
inline constexpr int kConsumerWarps = 4 * kConsumers;
inline constexpr int kClaims = 4;  ///< numbers of units that a block remembers, see grouped_claims.cuh

/// A tile of outputs and what a block has for it. One team: both warpgroups share a tile, each has half of
/// its rows. Two teams: each has its own tile, and one stores while the other multiplies.
template <int kRows_, int kColumns_, int kTeams_, int kCluster_, int kStages_, int kBoxes_>
struct TileShape {
  static constexpr int kTileRows = kRows_, kTileColumns = kColumns_;
  static constexpr int kTeams = kTeams_;
  static constexpr int kCluster = kCluster_;  ///< blocks that share loads
  static constexpr int kStages = kStages_;    ///< of the ring
  static constexpr int kBoxes = kBoxes_;      ///< of a consumer warp

  static constexpr int kTeamGroups = kConsumers / kTeams;            ///< warpgroups of a team
  static constexpr int kGroupBlocks = kTileRows / 64 / kTeamGroups;  ///< blocks of 64 rows of a warpgroup
  static constexpr int kSlabsA = kTileRows / 64, kSlabsB = kTileColumns / 64;
  static constexpr int kStageA = kSlabsA * kSlab, kStage = kStageA + kSlabsB * kSlab;
  static constexpr int kTeamWarps = 4 * kTeamGroups;
  static constexpr int kBarriers = 2 * kStages + 2 + kConsumerWarps * kBoxes + 2 * kClaims;
  static constexpr int kSharedBytes = 1024 + kStages * kStage + kConsumerWarps * kBoxes * kBoxBytes +
                                      kBarriers * static_cast<int>(sizeof(std::uint64_t)) +
                                      kClaims * static_cast<int>(sizeof(int));
  static_assert(kSharedBytes <= 232448, "a block of compute capability 9.0 has 227 KiB");
};

/// What becomes of sums of rows: they are stored; or half of the columns of a tile are gates and half are
/// ups, and what SwiGLU makes of them is stored too; or they are gradients of that, and those of gates and
/// ups are stored.
enum class Finish { store, gate_up, swiglu_backward };

/// A product in tiles of one shape, and the orders of its operands.
template <Product kProduct_, hopper::Major kMajorB_, Shared kShared_, class Shape,
          Finish kFinish_ = Finish::store>
struct Recipe : Shape {
  static constexpr Finish kFinish = kFinish_;
  /// Columns of the output that a tile stands for.
  static constexpr int kOutColumns =
      kFinish == Finish::gate_up ? Shape::kTileColumns / 2 : Shape::kTileColumns;
  static constexpr Product kProduct = kProduct_;
  static constexpr bool kOfRows = kProduct == Product::rows;
  static constexpr hopper::Major kMajorA = kOfRows ? hopper::Major::depth : hopper::Major::outputs;
  static constexpr hopper::Major kMajorB = kMajorB_;
  static constexpr Shared kShared = kShared_;
  static constexpr int kShareA = kShared == Shared::a ? Shape::kCluster : 1;  ///< blocks that load A together
  static constexpr int kShareB = kShared == Shared::b ? Shape::kCluster : 1;
  static_assert(kOfRows || kShareA == 1, "slabs of A are not divided");
  using Walk = TileWalk<kProduct, Shape::kTileRows, kOutColumns, Shape::kCluster, kShared>;
  /// The sums of a thread.
  using Sums = float[Shape::kGroupBlocks][Shape::kTileColumns / 2];

  /// This block's place in its cluster.
  __device__ static int rank() { return Shape::kCluster > 1 ? static_cast<int>(hopper::cluster_rank()) : 0; }
  __device__ static Walk walk(const GroupedCall& call) { return Walk(call, rank()); }
  /// Summed indices of a tile.
  __device__ static int depth(const GroupedCall& call, const Tile& tile) {
    return kOfRows ? call.depth : tile.count;
  }
  __device__ static int stages(const GroupedCall& call, const Tile& tile) {
    return (depth(call, tile) + kTileDepth - 1) / kTileDepth;
  }
  /// Rows of a tile that exist; may be more than the tile has, or negative.
  __device__ static int rows_left(const GroupedCall& call, const Tile& tile) {
    return (kOfRows ? tile.count : call.out_rows) - tile.row;
  }
};

}  // namespace caravan::cuda
