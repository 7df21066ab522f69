#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "caravan/bf16.hpp"
#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/row_parts.hpp"

namespace caravan {

using namespace reference;

namespace {

constexpr std::int32_t kNowhere = -1;

/// Rows of every rank for every expert, and where received ones begin.
class RowCounts {
 public:
  RowCounts(const Matrix<std::int32_t>& first_rows, std::int64_t experts_of_a_rank)
      : first_rows_(first_rows), local_(experts_of_a_rank) {}

  std::int64_t ranks() const { return first_rows_.extent(0); }
  std::int64_t local() const { return local_; }
  std::int64_t first(std::int64_t from, std::int64_t expert) const { return first_rows_(from, expert); }
  std::int64_t rows(std::int64_t from, std::int64_t expert) const {
    return first(from, expert + 1) - first(from, expert);
  }
  std::int64_t received_by(std::int64_t to) const {
    std::int64_t rows = 0;
    for (std::int64_t from = 0; from < ranks(); ++from)
      rows += first(from, (to + 1) * local_) - first(from, to * local_);
    return rows;
  }
  /// Beyond `most` on some rank.
  std::int64_t without_room(std::int64_t most) const {
    std::int64_t rows = 0;
    for (std::int64_t to = 0; to < ranks(); ++to) rows += std::max<std::int64_t>(received_by(to) - most, 0);
    return rows;
  }
  /// Calls visit(from, expert, first received row) for all blocks of rows that go to `to`, in their order.
  template <class Visit>
  void for_each_block(std::int64_t to, const Visit& visit) const {
    std::int64_t row = 0;
    for (std::int64_t expert = to * local_; expert < (to + 1) * local_; ++expert) {
      for (std::int64_t from = 0; from < ranks(); ++from) {
        visit(from, expert, row);
        row += rows(from, expert);
      }
    }
  }

 private:
  const Matrix<std::int32_t>& first_rows_;
  std::int64_t local_;
};

/// Of all that places are written to.
struct Places {
  Vector<std::int32_t> to_rank, to_row, offsets, back_rank, back_row, arrived;

  Places(const Call& call, const PlaceRows& args)
      : to_rank(call.vector<std::int32_t>("to_rank", args.to_rank, kAny)),
        to_row(call.vector<std::int32_t>("to_row", args.to_row, to_rank.extent(0))),
        offsets(call.vector<std::int32_t>("offsets", args.offsets, kAny)),
        back_rank(call.vector<std::int32_t>("back_rank", args.back_rank, kAny)),
        back_row(call.vector<std::int32_t>("back_row", args.back_row, back_rank.extent(0))),
        arrived(call.vector<std::int32_t>("arrived", args.arrived, back_rank.extent(0))) {
    for (const auto* places : {&to_rank, &to_row, &back_rank, &back_row, &arrived})
      for (std::int64_t at = 0; at < places->extent(0); ++at) (*places)(at) = kNowhere;
    for (std::int64_t at = 0; at < offsets.extent(0); ++at) offsets(at) = 0;
  }

  void send(const RowCounts& counts, std::int64_t rank) const {
    for (std::int64_t to = 0; to < counts.ranks(); ++to) {
      counts.for_each_block(to, [&](std::int64_t from, std::int64_t expert, std::int64_t received) {
        for (std::int64_t row = 0; from == rank && row < counts.rows(from, expert); ++row) {
          to_rank(counts.first(from, expert) + row) = static_cast<std::int32_t>(to);
          to_row(counts.first(from, expert) + row) = static_cast<std::int32_t>(received + row);
        }
      });
    }
  }
  void receive(const RowCounts& counts, std::int64_t rank) const {
    counts.for_each_block(rank, [&](std::int64_t from, std::int64_t expert, std::int64_t received) {
      const std::int64_t end = received + counts.rows(from, expert);
      for (std::int64_t row = received; row < end; ++row) {
        back_rank(row) = static_cast<std::int32_t>(from);
        back_row(row) = static_cast<std::int32_t>(counts.first(from, expert) + row - received);
        arrived(row) = static_cast<std::int32_t>(row);
      }
      offsets(expert - rank * counts.local() + 1) = static_cast<std::int32_t>(end);
    });
  }
};

void check_table(const Call& call, const PlaceRows& args, const Matrix<std::int32_t>& first_rows,
                 std::int64_t local, std::int64_t sorted) {
  const std::int64_t ranks = first_rows.extent(0), experts = first_rows.extent(1) - 1;
  if (local * ranks != experts || args.rank < 0 || args.rank >= ranks)
    call.fail(
        fmt::format("{} experts of rank {} of {} ranks with {} in all", local, args.rank, ranks, experts));
  for (std::int64_t from = 0; from < ranks; ++from) {
    for (std::int64_t expert = 0; expert < experts; ++expert)
      if (first_rows(from, expert) < 0 || first_rows(from, expert) > first_rows(from, expert + 1))
        call.fail(fmt::format("rows of expert {} of rank {} begin at {} and end at {}", expert, from,
                              first_rows(from, expert), first_rows(from, expert + 1)));
  }
  if (first_rows(args.rank, experts) > sorted)
    call.fail(fmt::format("{} rows are sorted (there are {})", first_rows(args.rank, experts), sorted));
}

/// Nobody waits here for a meeting.
void check_hosts_meet(const Call& call, const PeerMeeting& meeting) {
  if (meeting)
    call.fail(
        fmt::format("a meeting of operators, number {} of its window (hosts meet here)", meeting.number));
}

/// To the tables of all ranks.
void send_own_rows(const Call& call, const PlaceRows& args) {
  if (args.own_rows.empty()) return;
  const auto own = call.vector<std::int32_t>("own_rows", args.own_rows, args.first_rows.extent(1));
  for (std::byte* const table : args.tables)
    for (std::int64_t e = 0; e < own.extent(0); ++e)
      reinterpret_cast<std::int32_t*>(table)[args.rank * own.extent(0) + e] = own(e);
}

/// One row that is pushed: from `from`, times `weight` of its type.
void write_row(std::byte* to, const TensorView& rows, std::int64_t from, const float* weight) {
  const std::int64_t width = rows.extent(1);
  const std::size_t bytes = static_cast<std::size_t>(width) * size_of(rows.dtype);
  const std::byte* source =
      rows.as<std::byte>() + static_cast<std::size_t>(from * rows.stride(0)) * size_of(rows.dtype);
  if (weight == nullptr) {
    std::memcpy(to, source, bytes);
  } else if (rows.dtype == DType::f32) {
    for (std::int64_t h = 0; h < width; ++h)
      reinterpret_cast<float*>(to)[h] = *weight * reinterpret_cast<const float*>(source)[h];
  } else {
    for (std::int64_t h = 0; h < width; ++h)
      reinterpret_cast<std::uint16_t*>(to)[h] =
          to_bf16(*weight * from_bf16(reinterpret_cast<const std::uint16_t*>(source)[h]));
  }
}

}  // namespace

void ReferenceOps::place_rows(const PlaceRows& args) {
  const Call call("place_rows");
  check_hosts_meet(call, args.meets_at);
  const auto first_rows = call.matrix<std::int32_t>("first_rows", args.first_rows, kAny, kAny);
  send_own_rows(call, args);
  const Places places(call, args);
  const auto lost = call.vector<std::int32_t>("lost", args.lost, 1);
  const std::int64_t ranks = first_rows.extent(0), local = places.offsets.extent(0) - 1,
                     most = places.back_rank.extent(0);
  check_table(call, args, first_rows, local, places.to_rank.extent(0));
  const RowCounts counts(first_rows, local);
  const std::int64_t without_room = counts.without_room(most);
  lost(0) = without_room > 0 ? 1 : 0;
  if (without_room == 0) {
    places.send(counts, args.rank);
    places.receive(counts, args.rank);
  } else if (!args.overflow.empty() && *args.overflow.as<double>() == 0) {
    *args.overflow.as<double>() = static_cast<double>(without_room) / static_cast<double>(ranks);
  }
  write_parts(call, args.sent_parts, rows_by_rank(places.to_rank, ranks, args.rank));
  write_parts(call, args.received_parts, rows_by_rank(places.back_rank, ranks, args.rank));
  if (args.kept_offsets.empty()) return;
  const auto kept = call.vector<std::int32_t>("kept_offsets", args.kept_offsets, local + 1);
  for (std::int64_t l = 0; l <= local; ++l) kept(l) = places.offsets(l);
}

void ReferenceOps::push_rows(const PushRows& args) {
  const Call call("push_rows");
  check_hosts_meet(call, args.comes_to);
  const auto to_rank = call.vector<std::int32_t>("to_rank", args.to_rank, kAny);
  const auto to_row = call.vector<std::int32_t>("to_row", args.to_row, to_rank.extent(0));
  const std::int64_t pushed = to_rank.extent(0), choices = args.rows.extent(0) * args.top_k;
  const Vector<std::int32_t> choice_of = args.choice_of.empty()
                                             ? Vector<std::int32_t>{}
                                             : call.vector<std::int32_t>("choice_of", args.choice_of, pushed);
  const auto weights = call.optional_f32_matrix("weights", args.weights, args.rows.extent(0), args.top_k);
  if (weights && args.rows.dtype != DType::f32 && args.rows.dtype != DType::bf16)
    call.fail("weights with rows that are neither f32 nor bf16");
  const std::size_t row_bytes = static_cast<std::size_t>(args.rows.extent(1)) * size_of(args.rows.dtype);
  for (std::int64_t r = 0; r < pushed; ++r) {
    const std::int64_t choice = choice_of ? choice_of(r) : r;
    if (choice < 0 || to_rank(r) < 0) continue;
    if (choice >= choices || to_rank(r) >= std::ssize(args.regions) || to_row(r) < 0 ||
        to_row(r) >= args.region_rows)
      call.fail(fmt::format("row {} is choice {} of {} and goes to row {} of {} of rank {} of {}", r, choice,
                            choices, to_row(r), args.region_rows, to_rank(r), args.regions.size()));
    std::byte* const region = args.regions[static_cast<std::size_t>(to_rank(r))];
    if (region == nullptr) continue;
    const float weight = weights ? weights(choice / args.top_k, choice % args.top_k) : 1;
    write_row(region + static_cast<std::size_t>(to_row(r)) * row_bytes, args.rows, choice / args.top_k,
              weights ? &weight : nullptr);
  }
}

void ReferenceOps::exchange_rows(const ExchangeRows& args) {
  ReferenceOps::push_rows(args.push);
  ReferenceOps::push_rows(args.take);
}

/// All results in one place, and then their sums. By its own operators: those of a device that builds on
/// these may do more at their begin and end.
void ReferenceOps::return_rows(const ReturnRows& args) {
  const Call call("return_rows");
  ReferenceOps::push_rows(args.push);
  const auto to_rank = call.vector<std::int32_t>("to_rank", args.to_rank, kAny);
  const auto to_row = call.vector<std::int32_t>("to_row", args.to_row, to_rank.extent(0));
  const auto own = call.matrix("rows", args.push.rows, kAny, kAny);
  const auto landed = call.matrix("landed", args.landed, to_rank.extent(0), own.extent(1));
  std::vector<float> numbers;
  for (std::int64_t s = 0; s < landed.extent(0); ++s)
    for (std::int64_t h = 0; h < landed.extent(1); ++h)
      numbers.push_back(to_rank(s) < 0                 ? std::numeric_limits<float>::quiet_NaN()
                        : to_rank(s) == args.push.rank ? static_cast<float>(own(to_row(s), h))
                                                       : static_cast<float>(landed(s, h)));
  std::vector<std::uint16_t> halves;  // of bf16, exactly
  const bool is_bf16 = args.landed.dtype == DType::bf16;
  for (std::size_t at = 0; is_bf16 && at < numbers.size(); ++at) halves.push_back(to_bf16(numbers[at]));
  void* const memory = is_bf16 ? static_cast<void*>(halves.data()) : numbers.data();
  const TensorView results(memory, args.landed.dtype, {landed.extent(0), landed.extent(1)});
  ReferenceOps::combine_forward({results, args.row_of, args.weights, args.base, args.y});
}

void ReferenceOps::mark_lost(const MarkLost& args) {
  const Call call("mark_lost");
  check_hosts_meet(call, args.waits_for);
  const auto lost = call.vector<std::int32_t>("lost", args.lost, 1);
  if (lost(0) == 0) return;
  const auto rows = call.matrix("rows", args.rows, kAny, kAny);
  for (std::int64_t r = 0; r < rows.extent(0); ++r)
    for (std::int64_t h = 0; h < rows.extent(1); ++h) rows(r, h) = std::numeric_limits<float>::quiet_NaN();
}

}  // namespace caravan
