#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "caravan/peer_window.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

enum class ReduceOp { sum, min, max };

/// Proof that an operation was posted. Move-only; must be waited exactly once on the communicator that gave
/// it.
class [[nodiscard]] Ticket {
 public:
  Ticket() = default;
  explicit Ticket(std::uint64_t id) : id_(id) {}
  Ticket(Ticket&& other) noexcept : id_(std::exchange(other.id_, 0)) {}
  Ticket& operator=(Ticket&& other) noexcept {
    id_ = std::exchange(other.id_, 0);
    return *this;
  }
  /// 0: nothing is under way.
  std::uint64_t id() const noexcept { return id_; }
  bool pending() const noexcept { return id_ != 0; }

 private:
  std::uint64_t id_ = 0;
};

/// A group of ranks. `post_*` returns at once; the views must stay valid until `wait`. Contiguous views only.
/// All members of the group must post collectives in the same order. A communicator of one rank calls
/// nothing: collectives copy where needed, and sends to oneself are an Error.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::string name() const = 0;
  /// The number that a member has among all ranks of the run, for messages.
  virtual int world_rank(int member) const { return member; }
  /// [collective] Ranks with equal `color` form a new group, ordered by `key`.
  virtual std::unique_ptr<Communicator> split(int color, int key, std::string name) = 0;

  virtual Ticket post_send(TensorView data, int to, int tag) = 0;
  virtual Ticket post_recv(TensorView data, int from, int tag) = 0;
  virtual Ticket post_all_reduce(TensorView in_out, ReduceOp op) = 0;
  /// in: size() equal blocks; out: this rank's block of the sum.
  virtual Ticket post_reduce_scatter(TensorView in, TensorView out, ReduceOp op) = 0;
  /// out: size() equal blocks, block r from rank r.
  virtual Ticket post_all_gather(TensorView in, TensorView out) = 0;
  virtual Ticket post_broadcast(TensorView in_out, int root) = 0;
  /// size() equal blocks each way.
  virtual Ticket post_all_to_all(TensorView in, TensorView out) = 0;
  /// Rows of axis 0: in_counts[r] rows go to rank r, out_counts[r] rows come from rank r.
  virtual Ticket post_all_to_all_v(TensorView in, std::span<const std::int64_t> in_counts, TensorView out,
                                   std::span<const std::int64_t> out_counts) = 0;
  virtual void wait(Ticket& ticket) = 0;
  /// Lets posted operations advance; true when this one has finished (wait is still owed).
  virtual bool test(const Ticket& ticket) = 0;
  virtual void barrier() = 0;
  /// Whether what is under way takes memory beside its views. Then whoever posts much bounds it.
  virtual bool keeps_copies() const { return true; }

  /// Why the ranks of this group, of which there are several, cannot write to each other's memory; empty
  /// where open_window() can be tried.
  virtual std::string why_no_window() const { return "group '" + name() + "' has no memory in common"; }
  /// [collective] Memory that all ranks see, of at least `bytes` on each, filled with zeros; who does not
  /// come to a meeting within `timeout_s` is missing. CommError where there is none.
  virtual std::unique_ptr<PeerWindow> open_window(std::size_t bytes, double timeout_s);

  void all_reduce(TensorView in_out, ReduceOp op) { finish(post_all_reduce(in_out, op)); }
  void broadcast(TensorView in_out, int root) { finish(post_broadcast(in_out, root)); }
  void all_gather(TensorView in, TensorView out) { finish(post_all_gather(in, out)); }

 private:
  void finish(Ticket ticket) { wait(ticket); }
};

/// The group of one rank. Never calls a library.
std::unique_ptr<Communicator> make_single_communicator(std::string name = "self");

}  // namespace caravan
