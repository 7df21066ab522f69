#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"

namespace caravan {

/// The axes that a rank has coordinates on. The first five tile the world; the next three tile dp_shard x cp
/// x tp once more for experts; the last four are names for flattened ones.
enum class MeshAxis : std::uint8_t {
  pp,
  dp_replicate,
  dp_shard,
  cp,
  tp,
  efsdp,
  ep,
  etp,
  batch,  ///< dp_replicate x dp_shard: ranks that read other samples
  fsdp,   ///< dp_shard x cp: ranks that a dense weight is sharded over
  loss,   ///< dp_replicate x dp_shard x cp: ranks that hold other tokens
  rows    ///< dp_replicate x dp_shard x cp x tp: ranks that hold other rows
};

/// A set of axes, flattened in the mesh's order (slowest first). Implicit from one axis; `|` joins.
class MeshAxes {
 public:
  MeshAxes(MeshAxis axis);
  MeshAxes operator|(MeshAxes other) const {
    return MeshAxes(static_cast<std::uint8_t>(mask_ | other.mask_));
  }
  bool operator==(const MeshAxes&) const = default;
  std::uint8_t mask() const noexcept { return mask_; }
  /// "fsdp", "pp+tp"
  std::string name() const;

 private:
  friend class MeshLayout;
  explicit MeshAxes(std::uint8_t mask) : mask_(mask) {}
  std::uint8_t mask_;  ///< bit i: the i-th of the eight axes that are no names for others
};
inline MeshAxes operator|(MeshAxis a, MeshAxis b) {
  return MeshAxes(a) | MeshAxes(b);
}

/// How many ranks each axis has, and how those of one work together. One of the first five may be -1: what
/// the others leave of the world.
struct MeshDegrees {
  int pp = 1;
  int dp_replicate = 1;
  int dp_shard = 1;
  int cp = 1;
  int tp = 1;
  int ep = 1;             ///< expert parallel: takes ranks of dp_shard and cp, and with etp = 1 of tp too
  int etp = 1;            ///< tensor parallel inside an expert: 1 or tp
  bool async_tp = false;  ///< products of own rows run while those of other tensor ranks are gathered
  bool cp_ring = false;   ///< keys of context ranks travel one rank after the other, not all at once
};

/// Rank arithmetic of a mesh of any size, without communication.
/// World = pp x dp_replicate x dp_shard x cp x tp, row-major, tp fastest; for experts the last three are seen
/// as efsdp x ep x etp with efsdp = dp_shard cp tp / (ep etp). Source: torchtitan's ParallelDims.
class MeshLayout {
 public:
  /// ConfigError names the rule that the degrees break, with the numbers.
  MeshLayout(MeshDegrees degrees, int ranks);

  int ranks() const noexcept { return ranks_; }
  /// As given, with -1 replaced.
  const MeshDegrees& degrees() const noexcept { return degrees_; }
  int degree(MeshAxes axes) const;
  /// Position of `rank` on the flattened axes.
  int coordinate(int rank, MeshAxes axes) const;
  /// Those of `axes` that have more than one rank.
  MeshAxes divided(MeshAxes axes) const;
  /// World ranks that differ from `rank` on these axes only, in the order of their coordinate; `rank` is one
  /// of them.
  std::vector<int> group(int rank, MeshAxes axes) const;
  /// "pp=2 dp_shard=4": the axes above 1.
  std::string describe() const;

 private:
  static constexpr int kAxes = 8;
  struct Extent {
    int degree = 1;
    int stride = 1;
  };
  void check_view(MeshAxes axes) const;

  MeshDegrees degrees_;
  int ranks_;
  std::array<Extent, kAxes> extents_;
};

/// A group of ranks by what travels: numbers and texts in host memory, and tensors where the device has them.
/// Both are one communicator where the device works in host memory. Borrowed.
struct RankGroup {
  RankGroup(Communicator& both) : host(both), tensors(both) {}
  RankGroup(Communicator& host_, Communicator& tensors_) : host(host_), tensors(tensors_) {}
  Communicator& host;
  Communicator& tensors;
};

/// The order that a group's tensors travel in.
Lane lane_of(MeshAxis axis);

/// A rank's place in the layout and the groups that it belongs to: one for each axis and each name of
/// flattened ones. All are made by the constructor, in one order on every rank. Axes of one rank are looked
/// through: where context parallelism is off, `fsdp` and `dp_shard` are one group.
class Mesh {
 public:
  /// The communicators of one group. `tensors` is null where `host` moves tensors as well.
  struct Group {
    std::unique_ptr<Communicator> host, tensors;
  };
  /// [collective over the world, when its groups have more than one rank] Makes the group of `ranks`, of
  /// which this rank is one; ascending by their coordinate on `axis`.
  using MakeGroup = std::function<Group(MeshAxis axis, const std::vector<int>& ranks)>;
  Mesh(MeshLayout layout, int rank, const MakeGroup& make);
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  const MeshLayout& layout() const noexcept { return layout_; }
  int rank() const noexcept { return rank_; }
  int degree(MeshAxes axes) const { return layout_.degree(axes); }
  int coordinate(MeshAxes axes) const { return layout_.coordinate(rank_, axes); }
  /// The ranks that differ from this one on `axis` only.
  RankGroup group(MeshAxis axis);
  /// The one object of type T that all users of the group of `axes` on this rank share, such as memory that
  /// its ranks have in common. make() gives a T on first use, which comes in one order on all ranks of the
  /// group; with the mesh they go in the opposite one.
  template <class T, class Make>
  T& keep(MeshAxes axes, const Make& make) {
    const std::uint8_t mask = layout_.divided(axes).mask();
    for (const Kept& kept : kept_)
      if (kept.key == &kKey<T> && kept.mask == mask) return *static_cast<T*>(kept.object.get());
    kept_.push_back({&kKey<T>, mask, std::shared_ptr<T>(make())});
    return *static_cast<T*>(kept_.back().object.get());
  }

 private:
  template <class T>
  static inline const char kKey = 0;
  struct Kept {
    const void* key;
    std::uint8_t mask;
    std::shared_ptr<void> object;
  };

  MeshLayout layout_;
  int rank_;
  /// By the axes that have several ranks, and the lane: keys on their way to other ranks of a sequence do not
  /// queue with the weights that the same ranks divide.
  std::map<std::pair<std::uint8_t, Lane>, Group> groups_;
  std::vector<Kept> kept_;
};

/// What becomes of an exchange between ranks that are not running.
enum class PaperExchanges {
  refused,  ///< CommError
  none      ///< nothing, where whoever posts it is only watched
};
/// The mesh of a rank that is not running, or of one rank alone.
std::unique_ptr<Mesh> make_paper_mesh(MeshLayout layout, int rank,
                                      PaperExchanges exchanges = PaperExchanges::refused);

}  // namespace caravan
