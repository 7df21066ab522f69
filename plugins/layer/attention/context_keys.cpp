#include "plugins/layer/attention/context_keys.hpp"

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::attention {
namespace {

/// [rows, W]; of an entry without rows, which has no width either, none.
TensorView all_rows_in(TensorView memory, const std::vector<Parcel>& parcels, TensorView none) {
  return memory.empty() ? none : memory.rows(0, rows_of(parcels));
}

TensorView keys_in(TensorView memory, const Parcel& parcel) {
  return memory.rows(parcel.first, parcel.first + parcel.keys);
}

TensorView gradients_in(TensorView memory, const Parcel& parcel) {
  return memory.rows(parcel.first + parcel.keys, parcel.first + parcel.rows());
}

/// Calls visit(row of a parcel, row of its owner, count) for neighbouring tokens that `reader` sees of
/// `owner`.
template <class Visit>
void for_each_run(const KeyShares& shares, const BatchShape& shape, int owner, int reader,
                  const Visit& visit) {
  const std::array<Block, 2> seen = shares.seen(shape, owner, reader), own = shares.blocks(shape, owner);
  const std::int64_t in_parcel = seen[0].size() + seen[1].size(), of_owner = own[0].size() + own[1].size();
  for (std::int64_t b = 0; b < shape.sequences; ++b) {
    for (std::size_t at = 0; at < seen.size(); ++at) {
      if (seen[at].size() == 0) continue;
      const PositionRange rows = own[at].rows(seen[at].positions);
      visit(b * in_parcel + seen[at].row, b * of_owner + rows.begin, rows.size());
    }
  }
}

}  // namespace

ContextKeys::ContextKeys(const Host& host, const Options& options, std::int64_t width)
    : shares_(host, options.chunk),
      has_dropout_(options.attention_dropout > 0),
      width_(width),
      section_(shares_.in_ring() ? "attention" : "keys") {
  add_exchanges();
}

void ContextKeys::add_exchanges() {
  const int rounds = shares_.rounds();
  for (int t = 1; t <= rounds; ++t)
    forward_.push_back(std::make_unique<Exchange>(*this, Rounds{t, 0}, t % 2, Segment::Directions::forward));
  for (int t = 1; rounds > 0 && t <= rounds + 2; ++t) {
    const Rounds does{shares_.in_ring() && t <= rounds ? t : 0, std::max(0, t - 2)};
    const bool is_empty = does.keys == 0 && does.gradients == 0;
    backward_.push_back(
        is_empty ? nullptr : std::make_unique<Exchange>(*this, does, t % 2, Segment::Directions::backward));
  }
}

/// As large as any rank's, so that all choose alike what is kept.
void ContextKeys::plan_rooms(const BatchShape& shape, StashPlan& plan, When when) {
  const bool is_forward = when == When::forward, is_used = is_forward || shape.phase == Phase::train;
  const Exchanges& exchanges = is_forward ? forward_ : backward_;
  Rooms& rooms = is_forward ? forward_rooms_ : backward_rooms_;
  const std::string name = is_forward ? "keys" : "keys.backward";
  const Lifetime meanwhile = is_forward ? Lifetime::forward : Lifetime::backward;
  const bool stay = is_forward && !shares_.in_ring();
  for (std::size_t room = 0; room < rooms.size(); ++room) {
    std::int64_t sent = 0, received = 0;
    for (const auto& exchange : exchanges) {
      if (!is_used || !exchange || exchange->room_ != static_cast<int>(room)) continue;
      const Traffic& traffic = exchange->prepare(shape);
      sent = std::max(sent, traffic.most_sent);
      received = std::max(received, traffic.most_received);
    }
    const std::string number = std::to_string(room);
    rooms[room] = {plan.add(name + ".sent." + number, shape.compute, {sent, width_}, meanwhile, section_),
                   plan.add(name + ".received." + number, shape.compute, {received, width_},
                            stay ? Lifetime::input : meanwhile, section_)};
  }
}

void ContextKeys::plan(const BatchShape& shape, StashPlan& plan, Own own) {
  CARAVAN_CHECK(!has_ranks() || shape.phase != Phase::decode, ConfigError,
                "parallel.context=" + std::to_string(shares_.ranks()) +
                    " with decoding (a token that is decoded is on one rank). parallel.context=1?");
  own_ = own;
  plan_rooms(shape, plan, When::forward);
  plan_rooms(shape, plan, When::backward);
  const bool sums = shape.phase == Phase::train && has_ranks();
  gradients_ =
      plan.add("keys.gradient", shape.compute, {sums ? shape.tokens() : 0, width_}, Lifetime::backward);
  sum_ = plan.add("keys.gradient.sum", shape.compute, {sums ? most_added(shape) : 0, width_},
                  Lifetime::backward);
}

/// Rows of the largest block of which two blocks of queries of any rank see a part.
std::int64_t ContextKeys::most_added(const BatchShape& shape) const {
  std::int64_t most = 0;
  for (int reader = 0; reader < shares_.ranks(); ++reader) {
    const auto [earlier, later] = shares_.halves(shape, reader);
    for (int owner = 0; owner < shares_.ranks(); ++owner) {
      for (const Block& keys : owner == reader ? Blocks{earlier, later} : shares_.blocks(shape, owner)) {
        const Crossing first = crossing(earlier.positions, keys.positions, shares_.chunk()),
                       second = crossing(later.positions, keys.positions, shares_.chunk());
        if (!first.empty()) most = std::max(most, second.keys.size());
      }
    }
  }
  return shape.sequences * most;
}

const ContextKeys::Room& ContextKeys::room_of(const Exchange& exchange) const {
  const bool is_forward = exchange.directions_ == Segment::Directions::forward;
  return (is_forward ? forward_rooms_ : backward_rooms_)[static_cast<std::size_t>(exchange.room_)];
}

const ContextKeys::Exchange& ContextKeys::arrival_of(int round, When when) const {
  const bool comes_again = when == When::backward && shares_.in_ring();
  return *(comes_again ? backward_ : forward_)[static_cast<std::size_t>(round - 1)];
}

bool ContextKeys::asks_for_order_alone(const Run& run) const {
  return shares_.chunk() == 0 && !has_dropout_ && run.documents.empty();
}

ContextKeys::Blocks ContextKeys::queries(const Run& run) const {
  const Blocks blocks = shares_.blocks(run.shape, shares_.rank());
  return asks_for_order_alone(run) ? Blocks{joined(blocks), {}} : blocks;
}

/// Of an earlier rank both blocks see the first one of keys and none the second; of a later rank the later
/// block sees both.
ContextKeys::Blocks ContextKeys::queries_for(const Run& run, const KeyBlock& keys) const {
  const Blocks blocks = shares_.blocks(run.shape, shares_.rank());
  if (!asks_for_order_alone(run)) return blocks;
  const bool come_earlier = keys.block.positions.begin < blocks[0].positions.begin;
  return {come_earlier ? joined(blocks) : blocks[1], {}};
}

KeyBlock ContextKeys::own(const Run& run, const Frame& frame, const Block& block) const {
  const auto columns = [&](Entry entry) {
    const TensorView rows = frame[entry];
    return rows.empty() ? rows : rows.slice(1, own_.columns.begin, own_.columns.end);
  };
  const TensorView gradients = has_ranks() ? frame[gradients_] : columns(own_.gradients);
  return {block, run.shape.length, columns(own_.keys), gradients};
}

std::array<KeyBlock, 2> ContextKeys::blocks_of(const Run& run, const Frame& frame, int owner, int round,
                                               When when) const {
  const int self = shares_.rank();
  const auto [first, second] = shares_.seen(run.shape, owner, self);
  const std::int64_t length = first.size() + second.size();
  if (length == 0) return {};
  const auto at = static_cast<std::size_t>(owner);
  const Exchange& arrival = arrival_of(round, when);
  const Parcel& parcel = arrival.traffic(run.shape).received[at];
  const TensorView keys = keys_in(frame[room_of(arrival).received], parcel);
  TensorView gradients;
  if (when == When::backward) {
    const Exchange& leaves = *backward_[static_cast<std::size_t>(round + 1)];
    gradients = gradients_in(frame[room_of(leaves).sent], leaves.traffic(run.shape).sent[at]);
  }
  if (asks_for_order_alone(run)) return {KeyBlock{joined({first, second}), length, keys, gradients}, {}};
  return {KeyBlock{first, length, keys, gradients}, KeyBlock{second, length, keys, gradients}};
}

TensorView ContextKeys::start_sum(const Frame& frame, const Run& run, PositionRange keys) const {
  return frame[sum_].rows(0, run.shape.sequences * keys.size());
}

void ContextKeys::add_to(Run& run, const KeyBlock& block, PositionRange keys, TensorView sum) const {
  const PositionRange rows = block.block.rows(keys);
  for (std::int64_t b = 0; b < run.shape.sequences; ++b)
    run.ops.add({sum.rows(b * keys.size(), (b + 1) * keys.size()),
                 block.gradients.rows(b * block.length + rows.begin, b * block.length + rows.end)});
}

void ContextKeys::add_gradients(Run& run, const Frame& frame, int t) const {
  const auto& exchange = backward_[static_cast<std::size_t>(t - 1)];
  if (!exchange || exchange->rounds_.gradients == 0 || !travel(run.shape)) return;
  const std::vector<Parcel>& parcels = exchange->traffic(run.shape).received;
  for (int reader = 0; reader < shares_.ranks(); ++reader) {
    const Parcel& parcel = parcels[static_cast<std::size_t>(reader)];
    if (parcel.gradients == 0) continue;
    const TensorView from = gradients_in(frame[room_of(*exchange).received], parcel), to = frame[gradients_];
    for_each_run(shares_, run.shape, shares_.rank(), reader,
                 [&](std::int64_t row, std::int64_t own, std::int64_t count) {
                   run.ops.add({from.rows(row, row + count), to.rows(own, own + count)});
                 });
  }
}

void ContextKeys::finish_gradients(Run& run, const Frame& frame) const {
  if (!has_ranks()) return;
  run.device.copy_rows(Lane::compute, frame[own_.gradients].slice(1, own_.columns.begin, own_.columns.end),
                       frame[gradients_]);
}

/// Nobody posts where nobody has anything to send.
void ContextKeys::post(Run& run, const Frame& frame, const Exchange& exchange) const {
  const Traffic& traffic = exchange.traffic(run.shape);
  if (traffic.most_sent == 0) return;
  const Room& room = room_of(exchange);
  const TensorView keys = own(run, frame, {}).rows, out = frame[room.sent], in = frame[room.received];
  for (int reader = 0; reader < shares_.ranks(); ++reader) {
    const Parcel& parcel = traffic.sent[static_cast<std::size_t>(reader)];
    if (parcel.keys == 0) continue;
    const TensorView to = keys_in(out, parcel);
    for_each_run(shares_, run.shape, shares_.rank(), reader,
                 [&](std::int64_t row, std::int64_t own, std::int64_t count) {
                   run.device.copy_rows(Lane::compute, to.rows(row, row + count),
                                        keys.rows(own, own + count));
                 });
  }
  const TensorView none(nullptr, run.shape.compute, {0, width_});
  run.pending = shares_.rows().post_parcels(all_rows_in(out, traffic.sent, none), traffic.rows_sent,
                                            all_rows_in(in, traffic.received, none), traffic.rows_received);
}

const Traffic* ContextKeys::Exchange::find(const BatchShape& shape) const {
  const auto found =
      std::find_if(traffic_.begin(), traffic_.end(), [&](const Traffic& each) { return each.is_of(shape); });
  return found == traffic_.end() ? nullptr : &*found;
}

const Traffic& ContextKeys::Exchange::prepare(const BatchShape& shape) {
  if (const Traffic* known = find(shape)) return *known;
  return traffic_.emplace_back(keys_.shares_.traffic(shape, rounds_));
}

const Traffic& ContextKeys::Exchange::traffic(const BatchShape& shape) const {
  const Traffic* known = find(shape);
  CARAVAN_EXPECT(known != nullptr);  // it was planned
  return *known;
}

double ContextKeys::Exchange::sent_bytes(const BatchShape& shape) const {
  const Traffic* known = find(shape);
  const std::int64_t rows = known ? known->most_sent : keys_.shares_.traffic(shape, rounds_).most_sent;
  return static_cast<double>(rows * keys_.width_) * static_cast<double>(size_of(shape.compute));
}

bool ContextKeys::Exchange::posts_again(const Frame& frame) const {
  return frame.repeats[static_cast<std::size_t>(keys_.room_of(*this).received.index)];
}

void ContextKeys::Exchange::forward(Run& run, Frame& frame) {
  if (run.makes(frame, keys_.room_of(*this).received)) keys_.post(run, frame, *this);
}

void ContextKeys::Exchange::backward_input(Run& run, Frame& frame) {
  keys_.post(run, frame, *this);
}

}  // namespace caravan::attention
