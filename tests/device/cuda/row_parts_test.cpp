#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/ops.hpp"
#include "tests/device/cuda/gpu_ranks.hpp"

// Rows go to experts of other ranks and back in parts, in one kernel each way. What a rank sends, receives
// and drops differs from rank to rank, and ranks are late in turn.
namespace caravan {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TensorExchanges);

namespace {

constexpr std::int64_t kWidth = 1000, kLocal = 3;

struct PartsCase {
  const char* name;
  std::int64_t tokens, top_k;
  bool nothing_for_first = false, nothing_from_last = false, no_room = false;
  std::int64_t choices() const { return tokens * top_k; }
};
constexpr PartsCase kCases[] = {{"one_choice", 2500, 1},
                                {"two_choices", 1400, 2},
                                {"nothing_for_the_first", 2500, 1, true},
                                {"nothing_from_the_last", 2500, 1, false, true},
                                {"no_room", 2500, 1, false, false, true},
                                {"little", 40, 1}};

/// What the router of one rank found, the same wherever it is worked out.
struct Routed {
  std::vector<std::int32_t> first_rows, choice_of, row_of;

  Routed(const PartsCase& c, int ranks, int rank, int round) {
    std::mt19937 random(static_cast<std::uint32_t>(round * 64 + rank));
    std::vector<std::int64_t> share;
    for (std::int64_t e = 0; e < ranks * kLocal; ++e)
      share.push_back(c.nothing_for_first && e < kLocal ? 0 : 1 + random() % 7);
    const std::int64_t all = std::reduce(share.begin(), share.end()),
                       kept = c.nothing_from_last && rank == ranks - 1 ? 0 : c.choices() * 9 / 10;
    first_rows.push_back(0);
    for (std::int64_t before = 0; const std::int64_t of_expert : share)
      first_rows.push_back(static_cast<std::int32_t>((before += of_expert) * kept / all));
    choice_of.resize(static_cast<std::size_t>(c.choices()));
    std::iota(choice_of.begin(), choice_of.end(), 0);
    std::shuffle(choice_of.begin(), choice_of.end(), random);
    std::fill(choice_of.begin() + kept, choice_of.end(), -1);
    row_of.assign(choice_of.size(), -1);
    for (std::int64_t row = 0; row < kept; ++row)
      row_of[static_cast<std::size_t>(choice_of[static_cast<std::size_t>(row)])] =
          static_cast<std::int32_t>(row);
  }
  std::int32_t first(std::int64_t expert) const { return first_rows[static_cast<std::size_t>(expert)]; }
};

/// Of column h of a token, exactly.
float value_of(int rank, std::int64_t token, std::int64_t h) {
  return static_cast<float>(rank * 65536 + token) + 0.25f * static_cast<float>(h % 4);
}

class RowsInParts : public testing::GpuWindows {
 protected:
  struct Memory {
    Arena arena;
    TensorView x, got, base, y;
    TensorView table, choice_of, row_of, to_rank, to_row, offsets, back_rank, back_row, arrived, lost;
    RowParts sent, received;

    Memory(Device& device, const PartsCase& c, std::int64_t ranks, std::int64_t room)
        : arena(device, static_cast<std::size_t>(8 * (c.tokens + room + c.choices() + ranks) * (kWidth + 32)),
                "rows"),
          x(arena.take(DType::f32, {c.tokens, kWidth})),
          got(arena.take(DType::f32, {room, kWidth})),
          base(arena.take(DType::f32, {c.tokens, kWidth})),
          y(arena.take(DType::f32, {c.tokens, kWidth})),
          table(arena.take(DType::i32, {ranks, ranks * kLocal + 1})),
          choice_of(arena.take(DType::i32, {c.choices()})),
          row_of(arena.take(DType::i32, {c.tokens, c.top_k})),
          to_rank(arena.take(DType::i32, {c.choices()})),
          to_row(arena.take(DType::i32, {c.choices()})),
          offsets(arena.take(DType::i32, {kLocal + 1})),
          back_rank(arena.take(DType::i32, {room})),
          back_row(arena.take(DType::i32, {room})),
          arrived(arena.take(DType::i32, {room})),
          lost(arena.take(DType::i32, {1})),
          sent{arena.take(DType::i32, {c.choices()}), arena.take(DType::i32, {kRowParts})},
          received{arena.take(DType::i32, {room}), arena.take(DType::i32, {kRowParts})} {}
  };

  template <class T>
  void put(const TensorView& to, const std::vector<T>& from) {
    device().copy_from_host(Lane::compute, to.data, from.data(), to.bytes());
  }
  /// As many rows as there are tokens of this rank.
  void put_tokens(const Memory& memory, const PartsCase& c) {
    std::vector<float> x;
    for (std::int64_t token = 0; token < c.tokens; ++token)
      for (std::int64_t h = 0; h < kWidth; ++h) x.push_back(value_of(rank(), token, h));
    put(memory.x, x);
    put(memory.base, std::vector<float>(x.size(), 1));
  }
  void place(const Memory& m, const std::vector<Routed>& all) {
    std::vector<std::int32_t> table;
    for (const Routed& of : all) table.insert(table.end(), of.first_rows.begin(), of.first_rows.end());
    put(m.table, table);
    put(m.choice_of, all[static_cast<std::size_t>(rank())].choice_of);
    put(m.row_of, all[static_cast<std::size_t>(rank())].row_of);
    device().ops().place_rows({.first_rows = m.table,
                               .rank = rank(),
                               .to_rank = m.to_rank,
                               .to_row = m.to_row,
                               .offsets = m.offsets,
                               .back_rank = m.back_rank,
                               .back_row = m.back_row,
                               .arrived = m.arrived,
                               .lost = m.lost,
                               .sent_parts = m.sent,
                               .received_parts = m.received});
  }
  /// The same place in the memory of every rank, but `own` here.
  std::vector<std::byte*> regions(const PeerWindow& window, std::int64_t first_row, std::byte* own) const {
    std::vector<std::byte*> all;
    for (int to = 0; to < size(); ++to)
      all.push_back(window.part(to) + sizeof(float) * static_cast<std::size_t>(first_row * kWidth));
    all[static_cast<std::size_t>(rank())] = own;
    return all;
  }
  TensorView landed(const PeerWindow& window, std::int64_t first_row, std::int64_t rows) const {
    return {window.part(rank()) + sizeof(float) * static_cast<std::size_t>(first_row * kWidth),
            DType::f32,
            {rows, kWidth}};
  }
  void send(const Memory& m, const PartsCase& c, PeerWindow& window) {
    const std::int64_t room = m.got.extent(0);
    const auto there = regions(window, 0, m.got.as<std::byte>());
    std::vector<std::byte*> here(static_cast<std::size_t>(size()), m.got.as<std::byte>());
    here[static_cast<std::size_t>(rank())] = nullptr;
    device().ops().exchange_rows({{.rows = m.x,
                                   .choice_of = m.choice_of,
                                   .top_k = c.top_k,
                                   .to_rank = m.to_rank,
                                   .to_row = m.to_row,
                                   .regions = there,
                                   .region_rows = room,
                                   .rank = rank(),
                                   .comes_to = window.next_meeting(),
                                   .parts = m.sent},
                                  {.rows = landed(window, 0, room),
                                   .to_rank = m.back_rank,
                                   .to_row = m.arrived,
                                   .regions = here,
                                   .region_rows = room,
                                   .parts = m.received}});
  }
  /// Behind the rows that came.
  void bring_back(const Memory& m, const PartsCase& c, PeerWindow& window) {
    const std::int64_t room = m.got.extent(0);
    const auto there = regions(window, room, nullptr);
    device().ops().return_rows({.push = {.rows = m.got,
                                         .to_rank = m.back_rank,
                                         .to_row = m.back_row,
                                         .regions = there,
                                         .region_rows = c.choices(),
                                         .rank = rank(),
                                         .comes_to = window.next_meeting(),
                                         .parts = m.received},
                                .landed = landed(window, room, c.choices()),
                                .to_rank = m.to_rank,
                                .to_row = m.to_row,
                                .row_of = m.row_of,
                                .base = m.base,
                                .y = m.y,
                                .parts = m.sent,
                                .choice_of = m.choice_of});
  }
  /// Rows come expert by expert, of one rank after the other.
  void check_received(const Memory& m, const PartsCase& c, const std::vector<Routed>& all) {
    const std::vector<float> got = download(m.got);
    std::size_t at = 0;
    for (std::int64_t e = rank() * kLocal; e < (rank() + 1) * kLocal; ++e) {
      for (int from = 0; from < size(); ++from) {
        const Routed& theirs = all[static_cast<std::size_t>(from)];
        for (std::int32_t row = theirs.first(e); row < theirs.first(e + 1); ++row) {
          const std::int64_t token = theirs.choice_of[static_cast<std::size_t>(row)] / c.top_k;
          for (std::int64_t h = 0; h < kWidth; ++h)
            ASSERT_EQ(got[at++], value_of(from, token, h))
                << "expert " << e << ", row " << row << " of " << from;
        }
      }
    }
  }
  void check_sums(const Memory& m, const PartsCase& c, const Routed& own) {
    const std::vector<float> y = download(m.y);
    for (std::int64_t token = 0; token < c.tokens; ++token) {
      const auto* const rows = own.row_of.data() + token * c.top_k;
      const auto results =
          static_cast<float>(std::count_if(rows, rows + c.top_k, [](int row) { return row >= 0; }));
      for (std::int64_t h = 0; h < kWidth; ++h) {
        const float sum = y[static_cast<std::size_t>(token * kWidth + h)];
        if (c.no_room && results > 0) {
          ASSERT_TRUE(std::isnan(sum)) << token;
        } else {
          ASSERT_EQ(sum, 1 + results * value_of(rank(), token, h)) << "token " << token << ", column " << h;
        }
      }
    }
  }
  void be_late(int round) const {
    if (round % 3 == rank()) std::this_thread::sleep_for(std::chrono::milliseconds(round % 2 * 5 + 1));
  }
};

TEST_F(RowsInParts, GoToTheirExpertsAndBack) {
  for (const PartsCase& c : kCases) {
    const std::int64_t room = c.no_room ? 10 : size() * c.choices();
    auto window =
        group().open_window(sizeof(float) * static_cast<std::size_t>((room + c.choices()) * kWidth), 60);
    const Memory memory(device(), c, size(), room);
    put_tokens(memory, c);
    for (int round = 0; round < 9; ++round) {
      SCOPED_TRACE(std::string(c.name) + ", round " + std::to_string(round));
      std::vector<Routed> all;
      for (int of = 0; of < size(); ++of) all.emplace_back(c, size(), of, round);
      place(memory, all);
      be_late(round);
      send(memory, c, *window);
      if (!c.no_room) check_received(memory, c, all);
      be_late(round + 1);
      bring_back(memory, c, *window);
      check_sums(memory, c, all[static_cast<std::size_t>(rank())]);
      if (HasFatalFailure()) return;
      window->meet();  // before the next round is written
    }
  }
}

}  // namespace
}  // namespace caravan
