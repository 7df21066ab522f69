#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "caravan/layer.hpp"
#include "caravan/tensor_rows.hpp"
#include "plugins/layer/attention/key_shares.hpp"
#include "plugins/layer/attention/options.hpp"

namespace caravan::attention {

/// Keys of a block, each with its value, and where their gradients go: rows [B·length, W], `length` of each
/// sequence, of which the block has some.
struct KeyBlock {
  Block block;
  std::int64_t length = 0;
  TensorView rows, gradients;
};

/// Keys and values on context ranks, each of which projects those of its own tokens: what of them travels,
/// when, and the memory for it. Gathered keys of others are kept until I. In a ring those of one rank are
/// here at a time and those of the next on their way; they come again for I.
class ContextKeys {
 public:
  /// `width` of a row, keys and values together.
  ContextKeys(const Host& host, const Options& options, std::int64_t width);
  ContextKeys(const ContextKeys&) = delete;  // its segments refer to it

  const KeyShares& shares() const noexcept { return shares_; }
  bool has_ranks() const { return shares_.has_ranks(); }
  bool travel(const BatchShape& shape) const { return shares_.travel(shape); }
  /// The entries of this rank's keys and of their gradients, [T, …], and the columns where they stand.
  struct Own {
    Entry keys, gradients;
    RowRange columns;
  };
  void plan(const BatchShape& shape, StashPlan& plan, Own own);

  /// What brings the keys of a round, from 1 on, in forward.
  Segment* arrival(int round) { return forward_[static_cast<std::size_t>(round - 1)].get(); }
  /// In I exchange t, from 1 on, brings the keys of round t, in a ring, and takes the gradients of round t −
  /// 2, which are made while exchange t − 1 is under way. Null: it would do neither.
  Segment* exchange(int t) { return backward_[static_cast<std::size_t>(t - 1)].get(); }
  int exchanges() const { return static_cast<int>(backward_.size()); }

  using Blocks = std::array<Block, 2>;
  /// This rank's, as one where that serves: one call of an operator is faster than two.
  Blocks queries(const Run& run) const;
  Blocks halves(const Run& run) const { return shares_.halves(run.shape, shares_.rank()); }
  /// This rank's own.
  KeyBlock own(const Run& run, const Frame& frame, const Block& block) const;
  enum class When { forward, backward };
  /// Calls visit(keys, blocks of queries that may see them) for each block that a round brought, in backward
  /// with gradients of the keys.
  template <class Visit>
  void for_each_of(const Run& run, const Frame& frame, int round, When when, const Visit& visit) const {
    for (int owner = 0; owner < shares_.ranks(); ++owner) {
      if (!shares_.comes(owner, shares_.rank(), round)) continue;
      for (const KeyBlock& block : blocks_of(run, frame, owner, round, when))
        if (block.block.size() > 0) visit(block, queries_for(run, block));
    }
  }
  /// Memory for the gradients of some keys of a block before they are added to it, [B·keys, W].
  TensorView start_sum(const Frame& frame, const Run& run, PositionRange keys) const;
  void add_to(Run& run, const KeyBlock& block, PositionRange keys, TensorView sum) const;
  /// What exchange t brought of the gradients of this rank's keys.
  void add_gradients(Run& run, const Frame& frame, int t) const;
  /// All of them are there.
  void finish_gradients(Run& run, const Frame& frame) const;

 private:
  /// Whether a mask asks only which tokens come earlier.
  bool asks_for_order_alone(const Run& run) const;
  Blocks queries_for(const Run& run, const KeyBlock& keys) const;

  using Rounds = KeyShares::Rounds;
  class Exchange final : public Segment {
   public:
    Exchange(ContextKeys& keys, Rounds rounds, int room, Directions directions)
        : keys_(keys), rounds_(rounds), room_(room), directions_(directions) {}
    std::string_view name() const override { return keys_.section_; }
    Lane lane() const override { return Lane::tensor; }
    Directions directions() const override { return directions_; }
    bool needs_pending(Lane lane) const override { return lane == Lane::tensor; }
    double sent_bytes(const BatchShape& shape) const override;
    bool posts_again(const Frame& frame) const override;
    void wait(Run& run) override { keys_.shares_.rows().wait(run.pending); }
    void forward(Run& run, Frame& frame) override;
    void backward_input(Run& run, Frame& frame) override;

   private:
    friend class ContextKeys;
    /// Reckoned when a shape is planned, so that a step has it ready.
    const Traffic& prepare(const BatchShape& shape);
    const Traffic& traffic(const BatchShape& shape) const;
    const Traffic* find(const BatchShape& shape) const;

    ContextKeys& keys_;
    Rounds rounds_;
    int room_;
    Directions directions_;
    std::deque<Traffic> traffic_;  ///< of each shape that is planned
  };
  /// Memory that an exchange sends from and receives in; those that follow each other have one each.
  struct Room {
    Entry sent, received;
  };
  using Rooms = std::array<Room, 2>;
  using Exchanges = std::vector<std::unique_ptr<Exchange>>;

  void add_exchanges();
  void plan_rooms(const BatchShape& shape, StashPlan& plan, When when);
  /// [collective over the context ranks, tensor lane]
  void post(Run& run, const Frame& frame, const Exchange& exchange) const;
  const Room& room_of(const Exchange& exchange) const;
  /// The one that brought the keys of a round.
  const Exchange& arrival_of(int round, When when) const;
  std::array<KeyBlock, 2> blocks_of(const Run& run, const Frame& frame, int owner, int round,
                                    When when) const;
  std::int64_t most_added(const BatchShape& shape) const;

  KeyShares shares_;
  bool has_dropout_;
  std::int64_t width_;
  std::string section_;
  Exchanges forward_, backward_;
  Rooms forward_rooms_, backward_rooms_;
  Own own_{};
  Entry gradients_, sum_;
};

}  // namespace caravan::attention
