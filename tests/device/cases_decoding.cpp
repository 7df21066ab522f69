#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

struct CacheCase {
  const char* name;
  std::int64_t rows, slots, page, columns, heads, kv_heads, width, chunk;
  std::int64_t pieces = 0;  ///< the rows are neighbours of so many slots, the last ones; 0: each has its own
  std::int64_t first = 0;   ///< position of a piece's first row, in its chunk

  std::int64_t ring() const { return chunk; }
  std::int64_t most() const { return columns * page; }
  std::int64_t chunk_begin() const { return 3 * chunk; }
  std::int64_t of_piece() const { return (rows + pieces - 1) / pieces; }
  std::int64_t slot(std::int64_t t) const { return pieces > 0 ? slots - 1 - t / of_piece() : t; }
  std::int64_t position(std::int64_t t) const {
    return chunk_begin() +
           (pieces > 0 ? first + t % of_piece() : ((most() - 1) * (t + 1) + t) / rows % most());
  }
};

constexpr CacheCase kCacheCases[] = {
    {"one", 1, 1, 1, 1, 1, 1, 2, 0},
    {"step", 5, 7, 4, 3, 4, 2, 16, 0},
    {"chunks", 6, 6, 4, 2, 4, 1, 32, 8},
    {"odd_head", 3, 4, 5, 2, 3, 3, 7, 0},
    {"piece", 19, 2, 4, 6, 4, 2, 64, 0, 1},
    {"piece_of_a_chunk", 7, 2, 4, 2, 6, 2, 24, 8, 1},
    {"head_128", 9, 16, 16, 9, 10, 2, 128, 0},
    {"head_96", 5, 6, 16, 20, 8, 8, 96, 0},
    {"many_queries", 10, 12, 16, 4, 8, 1, 128, 0},
    {"long", 3, 3, 16, 70, 4, 1, 64, 0},
    {"wide_piece", 40, 1, 16, 20, 8, 4, 128, 0, 1},
    {"prompt", 300, 2, 16, 20, 4, 2, 128, 0, 1},
    {"later_piece", 70, 2, 16, 30, 2, 1, 128, 0, 1, 333},
    {"prompts_of_96", 150, 3, 16, 12, 4, 1, 96, 0, 3, 100},
    {"prompts_of_64", 260, 2, 32, 9, 6, 3, 64, 0, 2, 7},
    {"short_prompts", 61, 9, 16, 3, 2, 2, 40, 0, 8, 30},
    {"prompt_of_a_chunk", 128, 2, 16, 9, 4, 2, 128, 144, 1, 16},
};

/// The tables of a step in which row 1, if there are others, is padding. Pages are in no order.
struct CacheOperands {
  Handle slots, positions, pages;
};

CacheOperands cache_operands(ProblemBuilder& b, const CacheCase& c) {
  std::vector<std::int32_t> slots, positions, pages;
  for (std::int64_t t = 0; t < c.rows; ++t) {
    const bool is_padding = t == 1 && c.rows > 2;
    slots.push_back(static_cast<std::int32_t>(is_padding ? -1 : c.slot(t)));
    positions.push_back(static_cast<std::int32_t>(c.position(t)));
  }
  const std::int64_t count = c.slots * c.columns;
  for (std::int64_t i = 0; i < count; ++i) pages.push_back(static_cast<std::int32_t>(count - 1 - i));
  return {b.indices("slots", {c.rows}, slots), b.indices("positions", {c.rows}, positions),
          b.indices("pages", {c.slots, c.columns}, pages)};
}

CacheRows rows_of(const CacheCase& c, const CacheOperands& o, const Views& v) {
  return {v[o.slots], v[o.positions], v[o.pages], c.ring()};
}

Handle cache(ProblemBuilder& b, const char* name, const CacheCase& c) {
  return b.contiguous(b.random(name, {c.slots * c.columns, c.page, c.kv_heads, c.width}));
}

/// Keys or values that have no numbers behind the last row of their slot.
Handle seen_alone(ProblemBuilder& b, const char* name, const CacheCase& c) {
  const Handle handle = b.not_compared(cache(b, name, c));
  std::vector<double> values = b.values(handle);
  for (std::int64_t t = 0; t < c.rows; ++t) {
    const bool is_last = t + 1 == c.rows || c.slot(t + 1) != c.slot(t);
    for (std::int64_t place = c.position(t) - c.chunk_begin() + 1; is_last && place < c.most(); ++place) {
      const std::int64_t page = c.slots * c.columns - 1 - (c.slot(t) * c.columns + place / c.page),
                         head = (page * c.page + place % c.page) * c.kv_heads;
      std::fill_n(values.begin() + head * c.width, c.kv_heads * c.width, std::nan(""));
    }
  }
  b.set(handle, std::move(values));
  return handle;
}

Problem qk_prepare_cached(const CacheCase& c, bool everything, Storage storage) {
  ProblemBuilder b(fmt::format("qk_prepare_cached/{}{}", c.name, everything ? "_everything" : ""), storage);
  const CacheOperands o = cache_operands(b, c);
  const bool rotates = everything && c.width % 2 == 0;
  const Shape table{c.most() + 4 * c.chunk, c.width / 2};
  std::vector<double> cosines, sines;
  for (std::int64_t i = 0; rotates && i < table.count(); ++i) {
    cosines.push_back(std::cos(0.1 * static_cast<double>(i)));
    sines.push_back(std::sin(0.1 * static_cast<double>(i)));
  }
  const Handle cos = b.given("cos", DType::f32, rotates ? table : Shape{1, 1}, cosines),
               sin = b.given("sin", DType::f32, rotates ? table : Shape{1, 1}, sines),
               qkv = b.random("qkv", {c.rows, (c.heads + 2 * c.kv_heads) * c.width}),
               keys = cache(b, "keys", c), values = cache(b, "values", c);
  return b.build([=](Ops& ops, const Views& v) {
    QkPrepare how{.heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.width};
    if (rotates) how.cos = v[cos], how.sin = v[sin];
    if (everything) how.norm_eps = 1e-5f, how.temperature_scale = 0.1f, how.floor_scale = 4;
    ops.qk_prepare_cached({how, v[qkv], rows_of(c, o, v), {v[keys], v[values]}});
  });
}

/// [T, A, D] as the first columns of wider rows.
TensorView heads_of(TensorView rows, std::int64_t heads, std::int64_t width) {
  TensorView view = rows;
  view.shape = Shape{rows.extent(0), heads, width};
  view.strides = {rows.stride(0), width, 1};
  return view;
}

Problem paged_attention(const CacheCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("paged_attention/{}", c.name), storage);
  const CacheOperands o = cache_operands(b, c);
  const Handle q = b.random("q", {c.rows, (c.heads + 2) * c.width}), keys = seen_alone(b, "keys", c),
               values = seen_alone(b, "values", c), out = b.output("out", {c.rows, c.heads * c.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.paged_attention({heads_of(v[q], c.heads, c.width),
                         {v[keys], v[values]},
                         heads_of(v[out], c.heads, c.width),
                         rows_of(c, o, v),
                         c.chunk,
                         1 / std::sqrt(static_cast<float>(c.width))});
  });
}

struct SampleCase {
  const char* name;
  std::int64_t rows, slots, vocabulary;
  double temperature = 1, top_p = 1, min_p = 0, repetition = 1;
  std::int32_t top_k = 0;
  bool bias = false;
};

constexpr SampleCase kSampleCases[] = {
    {"greedy", 3, 4, 33, 0},
    {"one", 1, 1, 1},
    {"temperature", 4, 4, 100, 0.7},
    {"top_k", 4, 5, 300, 0.9, 1, 0, 1, 20},
    {"top_p", 4, 4, 1000, 0.8, 0.9},
    {"min_p", 4, 4, 500, 1.2, 1, 0.1},
    {"everything", 7, 9, 2048, 0.8, 0.95, 0.02, 1.3, 100, true},
    {"greedy_with_rules", 2, 3, 257, 0, 1, 0, 1.5, 0, true},
};

Handle filled(ProblemBuilder& b, const char* name, DType dtype, std::int64_t count, double value) {
  return b.given(name, dtype, {count}, std::vector<double>(static_cast<std::size_t>(count), value));
}

/// The last row has no slot, where there are others; token 0 is forbidden where there is a bias.
Problem sample_tokens(const SampleCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("sample_tokens/{}", c.name), storage);
  std::vector<std::int32_t> slots, drawn;
  for (std::int64_t r = 0; r < c.rows; ++r)
    slots.push_back(r > 0 && r + 1 == c.rows ? -1 : static_cast<std::int32_t>(c.slots - 1 - r));
  std::vector<double> seeds, seen, bias(static_cast<std::size_t>(c.vocabulary), 0.25);
  for (std::int64_t slot = 0; slot < c.slots; ++slot) {
    drawn.push_back(static_cast<std::int32_t>(3 * slot));
    seeds.push_back(static_cast<double>(100 + slot));
  }
  for (std::int64_t i = 0; i < c.slots * c.vocabulary; ++i) seen.push_back(i % 3 == 0 ? 1 : 0);
  bias[0] = -std::numeric_limits<double>::infinity();
  const Handle logits = b.f32_random("logits", {c.rows, c.vocabulary}, 2),
               which = b.indices("slots", {c.rows}, slots), counted = b.indices("drawn", {c.slots}, drawn),
               temperature = filled(b, "temperature", DType::f64, c.slots, c.temperature),
               top_k = filled(b, "top_k", DType::i32, c.slots, c.top_k),
               top_p = filled(b, "top_p", DType::f64, c.slots, c.top_p),
               min_p = filled(b, "min_p", DType::f64, c.slots, c.min_p),
               repetition = filled(b, "repetition", DType::f64, c.slots, c.repetition),
               seed = b.given("seed", DType::i64, {c.slots}, seeds),
               added = b.given("bias", DType::f32, {c.vocabulary}, bias),
               marks = b.given("seen", DType::u8, {c.slots, c.vocabulary}, seen),
               tokens = filled(b, "tokens", DType::i32, c.rows, 0),
               log_prob = filled(b, "log_prob", DType::f32, c.rows, 0);
  return b.build([=](Ops& ops, const Views& v) {
    ops.sample_tokens({v[logits],
                       v[which],
                       {v[temperature], v[top_k], v[top_p], v[min_p], v[repetition], v[seed]},
                       c.bias ? v[added] : TensorView{},
                       c.repetition != 1 ? v[marks] : TensorView{},
                       v[counted],
                       v[tokens],
                       v[log_prob],
                       c.vocabulary});
  });
}

Problem advance_rows(std::int64_t rows, bool stops_too, Storage storage) {
  ProblemBuilder b(fmt::format("advance_rows/{}{}", rows, stops_too ? "_stops" : ""), storage);
  std::vector<std::int32_t> drawn, slots, positions, left;
  for (std::int64_t t = 0; t < rows; ++t) {
    drawn.push_back(static_cast<std::int32_t>(t % 5 == 4 ? -1 : t % 7));
    slots.push_back(static_cast<std::int32_t>(t % 6 == 5 ? -1 : t));
    positions.push_back(static_cast<std::int32_t>(10 * t));
    left.push_back(static_cast<std::int32_t>(1 + t % 4));
  }
  const Handle of_drawn = b.indices("drawn", {rows}, drawn), of_slots = b.indices("slots", {rows}, slots),
               of_positions = b.indices("positions", {rows}, positions),
               of_left = b.indices("left", {rows}, left), tokens = b.index_output("tokens", {rows}),
               stops = b.indices("stops", {2}, {3, 6});
  return b.build([=](Ops& ops, const Views& v) {
    ops.advance_rows({v[of_drawn], stops_too ? v[stops] : TensorView{}, v[of_left], v[tokens], v[of_slots],
                      v[of_positions]});
  });
}

}  // namespace

std::vector<Problem> decoding_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const CacheCase& c : kCacheCases) {
    for (const bool everything : {false, true}) problems.push_back(qk_prepare_cached(c, everything, storage));
    problems.push_back(paged_attention(c, storage));
  }
  for (const SampleCase& c : kSampleCases) problems.push_back(sample_tokens(c, storage));
  for (const std::int64_t rows : {1, 2, 33})
    for (const bool stops : {false, true}) problems.push_back(advance_rows(rows, stops, storage));
  return problems;
}

}  // namespace caravan::testing
