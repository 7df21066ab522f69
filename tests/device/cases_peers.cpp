#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tests/device/cases.hpp"

// Rows to the memory of other ranks. One device plays all of them: its regions are parts of one output.
namespace caravan::testing {
namespace {

/// Rows of each rank for each expert, [P][E].
struct PlaceCase {
  const char* name;
  std::vector<std::vector<std::int32_t>> rows;
  std::int64_t rank, room, choices;
  double overflow = 0;  ///< before the call
};

const std::vector<PlaceCase>& place_cases() {
  static const std::vector<PlaceCase> kCases = {
      {"alone", {{3, 0, 2}}, 0, 5, 5},
      {"two", {{1, 2, 0, 4}, {3, 0, 1, 1}}, 1, 7, 9},
      {"three_with_nobody", {{0, 0, 0}, {0, 5, 0}, {0, 0, 0}}, 1, 6, 5},
      {"dropped_choices", {{2, 1}, {0, 3}}, 0, 4, 8},
      {"no_room", {{4, 1, 0, 0}, {9, 0, 1, 1}}, 0, 13, 12},
      {"no_room_again", {{4, 1, 0, 0}, {9, 0, 1, 1}}, 1, 13, 12, 7},
      {"many", std::vector(8, std::vector<std::int32_t>(64, 5)), 6, 400, 321},
      {"more_than_a_block_has_near", std::vector(16, std::vector<std::int32_t>(512, 3)), 9, 1600, 1536}};
  return kCases;
}

Problem place_rows(const PlaceCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("place_rows/{}", c.name), storage);
  const auto ranks = std::ssize(c.rows), experts = std::ssize(c.rows.front());
  std::vector<std::int32_t> first_rows;
  for (const auto& rows : c.rows) {
    first_rows.push_back(0);
    for (const std::int32_t of_expert : rows) first_rows.push_back(first_rows.back() + of_expert);
  }
  const Handle table = b.indices("first_rows", {ranks, experts + 1}, first_rows);
  const Handle to_rank = b.index_output("to_rank", {c.choices}),
               to_row = b.index_output("to_row", {c.choices});
  const Handle offsets = b.index_output("offsets", {experts / ranks + 1}),
               kept_offsets = b.index_output("kept_offsets", {experts / ranks + 1});
  const Handle back_rank = b.index_output("back_rank", {c.room}),
               back_row = b.index_output("back_row", {c.room});
  const Handle arrived = b.index_output("arrived", {c.room}), lost = b.index_output("lost", {1});
  const Handle overflow = b.given("overflow", DType::f64, {1}, {c.overflow});
  const Handle sent = b.index_output("sent", {c.choices}), received = b.index_output("received", {c.room});
  const Handle sent_ends = b.index_output("sent_ends", {kRowParts}),
               received_ends = b.index_output("received_ends", {kRowParts});
  return b.build([=, rank = c.rank](Ops& ops, const Views& v) {
    ops.place_rows({.first_rows = v[table],
                    .rank = rank,
                    .to_rank = v[to_rank],
                    .to_row = v[to_row],
                    .offsets = v[offsets],
                    .kept_offsets = v[kept_offsets],
                    .back_rank = v[back_rank],
                    .back_row = v[back_row],
                    .arrived = v[arrived],
                    .lost = v[lost],
                    .overflow = v[overflow],
                    .sent_parts = {v[sent], v[sent_ends]},
                    .received_parts = {v[received], v[received_ends]}});
  });
}

struct PushCase {
  const char* name;
  std::int64_t rows, width, ranks, region_rows, top_k;
  bool weighted, by_choice;
  bool some_stay = false;  ///< those for rank 0 have no region
};
constexpr PushCase kPushCases[] = {{"one", 1, 1, 1, 1, 1, false, false},
                                   {"scores", 700, 1, 3, 240, 1, false, true},
                                   {"some_stay", 400, 520, 2, 200, 1, false, false, true},
                                   {"several_pieces", 70, 2600, 2, 40, 1, true, true},
                                   {"as_they_are", 40, 24, 3, 20, 1, false, false},
                                   {"by_choice", 33, 8, 2, 70, 2, false, true},
                                   {"weighted", 33, 64, 2, 70, 2, true, true},
                                   {"odd_and_weighted", 21, 13, 4, 50, 3, true, true},
                                   {"wide", 300, 1032, 2, 300, 1, false, true},
                                   {"wide_and_weighted", 300, 1032, 2, 300, 1, true, true}};

Problem push_rows(const PushCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("push_rows/{}", c.name), storage);
  const std::int64_t pushed = c.rows * c.top_k;
  const Handle rows = b.random("rows", {c.rows, c.width}),
               weights = b.f32_random("weights", {c.rows, c.top_k});
  std::vector<std::int32_t> choice_of, to_rank, to_row;
  std::vector<std::int32_t> taken(static_cast<std::size_t>(c.ranks), 0);
  for (std::int64_t r = 0; r < pushed; ++r) {
    choice_of.push_back(r % 7 == 3 ? -1 : static_cast<std::int32_t>((r * 5 + 1) % pushed));
    const auto rank = static_cast<std::size_t>((r * 3) % c.ranks);
    std::int32_t& row = taken[rank];
    const bool goes = r % 5 != 2 && row < c.region_rows;
    to_rank.push_back(goes ? static_cast<std::int32_t>(rank) : -1);
    to_row.push_back(goes ? static_cast<std::int32_t>(c.region_rows) - 1 - row++ : -1);
  }
  const Handle choices = b.indices("choice_of", {pushed}, choice_of);
  const Handle ranks = b.indices("to_rank", {pushed}, to_rank),
               places = b.indices("to_row", {pushed}, to_row);
  // What no row comes to stays: it has values before the call.
  const Handle regions = b.contiguous(b.random("regions", {c.ranks * c.region_rows, c.width}));
  return b.build([=](Ops& ops, const Views& v) {
    std::vector<std::byte*> parts;
    for (std::int64_t rank = 0; rank < c.ranks; ++rank)
      parts.push_back(v[regions].as<std::byte>() +
                      static_cast<std::size_t>(rank * c.region_rows * c.width) * size_of(v[regions].dtype));
    if (c.some_stay) parts.front() = nullptr;
    ops.push_rows({v[rows], c.by_choice ? v[choices] : TensorView{}, c.top_k,
                   c.weighted ? v[weights] : TensorView{}, v[ranks], v[places], parts, c.region_rows});
  });
}

/// Two ranks of which this is the first; nobody meets, so what has landed was there before.
struct ExchangeCase {
  const char* name;
  std::int64_t rows, width, top_k;
  bool weighted, with_base = false, only_back = false;

  bool is_much() const { return rows * top_k * width > 1 << 20; }
};
constexpr ExchangeCase kExchangeCases[] = {{"one", 1, 8, 1, false},
                                           {"odd", 21, 13, 1, true},
                                           {"several_choices", 60, 64, 3, true, true},
                                           {"much", 4200, 520, 1, true, true},
                                           {"much_and_odd", 2200, 1001, 1, false, false, true},
                                           {"much_of_several_choices", 1100, 1000, 2, true, true, true}};

/// Rows in turn for each rank and for none, each to a row of its own; those of the other rank travel in
/// parts.
struct Ways {
  Handle rank, row, order, ends;
  Ways(ProblemBuilder& b, const std::string& name, std::int64_t count, std::int32_t none)
      : rank(b.indices(name + "_rank", {count}, in_turn(count, none))),
        row(b.indices(name + "_row", {count}, reversed(count))),
        order(b.indices(name + "_order", {count}, those_of(1, in_turn(count, none)))),
        ends(b.indices(name + "_ends", {kRowParts}, in_parts(in_turn(count, none)))) {}
  RowParts parts(const Views& v) const { return {v[order], v[ends]}; }

  static std::vector<std::int32_t> in_turn(std::int64_t count, std::int32_t none) {
    std::vector<std::int32_t> all;
    for (std::int64_t r = 0; r < count; ++r)
      all.push_back(r % 5 == 4 ? none : static_cast<std::int32_t>(r % 3 % 2));
    return all;
  }
  static std::vector<std::int32_t> reversed(std::int64_t count) {
    std::vector<std::int32_t> all(static_cast<std::size_t>(count));
    std::iota(all.rbegin(), all.rend(), 0);
    return all;
  }
  static std::vector<std::int32_t> those_of(std::int32_t rank, const std::vector<std::int32_t>& ranks) {
    std::vector<std::int32_t> rows;
    for (std::size_t r = 0; r < ranks.size(); ++r)
      if (ranks[r] == rank) rows.push_back(static_cast<std::int32_t>(r));
    rows.resize(ranks.size(), -1);
    return rows;
  }
  /// The first part has no rows, and others have some each.
  static std::vector<std::int32_t> in_parts(const std::vector<std::int32_t>& ranks) {
    const std::int64_t rows = std::ranges::count(ranks, 1);
    std::vector<std::int32_t> ends;
    for (std::int64_t part = 0; part < kRowParts; ++part)
      ends.push_back(static_cast<std::int32_t>(rows * part / (kRowParts - 1)));
    return ends;
  }
};

Problem exchange_rows(const ExchangeCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("exchange_rows/{}", c.name), storage);
  const std::int64_t pushed = c.rows * c.top_k;
  const Handle rows = b.random("rows", {c.rows, c.width}),
               weights = b.f32_random("weights", {c.rows, c.top_k}),
               choices = b.indices("choice_of", {pushed}, Ways::reversed(pushed));
  const Ways to(b, "to", pushed, -1), from(b, "from", pushed, -1);
  const Handle regions = b.contiguous(b.random("regions", {2 * pushed, c.width}));
  const Handle landed = b.random("landed", {pushed, c.width}),
               taken = b.contiguous(b.random("taken", {pushed, c.width}));
  return b.build([=](Ops& ops, const Views& v) {
    const auto at = [&](Handle of, std::int64_t row) {
      return v[of].as<std::byte>() + static_cast<std::size_t>(row * c.width) * size_of(v[of].dtype);
    };
    const std::vector<std::byte*> there{at(regions, 0), at(regions, pushed)}, here{nullptr, at(taken, 0)};
    ops.exchange_rows({{v[rows],
                        v[choices],
                        c.top_k,
                        c.weighted ? v[weights] : TensorView{},
                        v[to.rank],
                        v[to.row],
                        there,
                        pushed,
                        0,
                        {},
                        to.parts(v)},
                       {.rows = v[landed],
                        .to_rank = v[from.rank],
                        .to_row = v[from.row],
                        .regions = here,
                        .region_rows = pushed,
                        .parts = from.parts(v)}});
  });
}

Problem return_rows(const ExchangeCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("return_rows/{}", c.name), storage);
  const std::int64_t sorted = c.rows * c.top_k;
  const Handle results = b.random("results", {sorted, c.width}),
               weights = b.f32_random("weights", {c.rows, c.top_k}),
               base = b.random("base", {c.rows, c.width}), landed = b.random("landed", {sorted, c.width});
  const Ways back(b, "back", sorted, -1), to(b, "to", sorted, 1);
  std::vector<std::int32_t> row_of = Ways::reversed(sorted);
  for (std::size_t at = 6; at < row_of.size(); at += 11) row_of[at] = -1;
  const Handle rows = b.indices("row_of", {c.rows, c.top_k}, row_of);
  std::vector<std::int32_t> choice_of(row_of.size(), -1);
  for (std::size_t choice = 0; choice < row_of.size(); ++choice)
    if (row_of[choice] >= 0)
      choice_of[static_cast<std::size_t>(row_of[choice])] = static_cast<std::int32_t>(choice);
  const Handle choices = b.indices("choice_of", {sorted}, choice_of);
  const Handle region = b.contiguous(b.random("region", {sorted, c.width})),
               y = b.output("y", {c.rows, c.width});
  return b.build([=](Ops& ops, const Views& v) {
    const std::vector<std::byte*> there{nullptr, v[region].as<std::byte>()};
    ops.return_rows({{.rows = v[results],
                      .to_rank = v[back.rank],
                      .to_row = v[back.row],
                      .regions = there,
                      .region_rows = sorted,
                      .rank = 0,
                      .parts = back.parts(v)},
                     v[landed],
                     v[to.rank],
                     v[to.row],
                     v[rows],
                     c.weighted ? v[weights] : TensorView{},
                     c.with_base ? v[base] : TensorView{},
                     v[y],
                     to.parts(v),
                     v[choices]});
  });
}

Problem mark_lost(bool is_lost, Storage storage) {
  ProblemBuilder b(fmt::format("mark_lost/{}", is_lost ? "lost" : "not_lost"), storage);
  const Handle rows = b.random("rows", {9, 21}), lost = b.indices("lost", {1}, {is_lost ? 1 : 0});
  return b.build([=](Ops& ops, const Views& v) { ops.mark_lost({v[rows], v[lost]}); });
}

}  // namespace

std::vector<Problem> peer_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const PlaceCase& c : place_cases()) problems.push_back(place_rows(c, storage));
  for (const PushCase& c : kPushCases) problems.push_back(push_rows(c, storage));
  for (ExchangeCase c : kExchangeCases) {
    // The reference takes a second for each of these: no more bytes than needed, and gaps change nothing.
    if (c.is_much() && storage.gap > 0) continue;
    if (c.is_much() && storage.compute == DType::f32) c.rows /= 2;
    if (!c.only_back) problems.push_back(exchange_rows(c, storage));
    problems.push_back(return_rows(c, storage));
  }
  for (const bool is_lost : {false, true}) problems.push_back(mark_lost(is_lost, storage));
  return problems;
}

}  // namespace caravan::testing
