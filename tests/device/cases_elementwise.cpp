#include <fmt/format.h>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

struct RowShape {
  std::int64_t rows, width;
};

constexpr RowShape kShapes[] = {{1, 1}, {3, 7}, {33, 130}, {130, 64}, {700, 264}, {37, 3328}};

std::string name_of(std::string_view op, const RowShape& s, std::string_view variant = "") {
  return fmt::format("{}/R{}_F{}{}", op, s.rows, s.width, variant);
}

/// Ids in [0, vocabulary), with repetitions.
std::vector<std::int32_t> some_ids(std::int64_t count, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < count; ++t)
    ids.push_back(static_cast<std::int32_t>((5 * t * t + 3 * t + 1) % vocabulary));
  return ids;
}

/// Words of the vocabulary of the cases of embeddings.
constexpr std::int64_t kVocabulary = 11;

/// A table of ids from first_id on: some of the vocabulary, or all of it.
struct Table {
  std::int64_t rows = kVocabulary, first_id = 0;

  std::int64_t of_all_ranks() const { return rows == kVocabulary ? 0 : kVocabulary; }
  std::string variant() const { return rows == kVocabulary ? "" : fmt::format("_{}from{}", rows, first_id); }
};
constexpr Table kTables[] = {{}, {5, 4}, {3, 0}};

Problem embedding_forward(const RowShape& s, Storage storage, const Table& part) {
  ProblemBuilder b(name_of("embedding_forward", s, part.variant()), storage);
  const Handle ids = b.indices("ids", {s.rows}, some_ids(s.rows, kVocabulary));
  const Handle table = b.random("table", {part.rows, s.width}), out = b.output("out", {s.rows, s.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.embedding_forward({.ids = v[ids],
                           .table = v[table],
                           .out = v[out],
                           .first_id = part.first_id,
                           .vocabulary = part.of_all_ranks()});
  });
}

Problem embedding_backward_weight(const RowShape& s, Storage storage, const Table& part) {
  ProblemBuilder b(name_of("embedding_backward_weight", s, part.variant()), storage);
  const Handle ids = b.indices("ids", {s.rows}, some_ids(s.rows, kVocabulary));
  const Handle dout = b.random("dout", {s.rows, s.width});
  const Handle dtable = b.contiguous(b.f32_random("dtable", {part.rows, s.width}));
  return b.build([=](Ops& ops, const Views& v) {
    ops.embedding_backward_weight({.ids = v[ids],
                                   .dout = v[dout],
                                   .dtable = v[dtable],
                                   .first_id = part.first_id,
                                   .vocabulary = part.of_all_ranks()});
  });
}

Problem add_positions(const RowShape& s, Storage storage, std::int64_t first_position) {
  const std::int64_t length = s.rows % 3 == 0 ? s.rows / 3 : s.rows;
  ProblemBuilder b(name_of("add_positions", s, fmt::format("_from{}", first_position)), storage);
  const Handle x = b.random("x", {s.rows, s.width}),
               table = b.f32_random("table", {length + first_position, s.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.add_positions({.x = v[x], .table = v[table], .tokens = TokenMap::piece(first_position, length)});
  });
}

Problem swiglu_forward(const RowShape& s, Storage storage) {
  ProblemBuilder b(name_of("swiglu_forward", s), storage);
  const Handle gate_up = b.random("gate_up", {s.rows, 2 * s.width}, 3),
               out = b.output("out", {s.rows, s.width});
  return b.build(
      [=](Ops& ops, const Views& v) { ops.swiglu_forward({.gate_up = v[gate_up], .out = v[out]}); });
}

Problem swiglu_backward(const RowShape& s, Storage storage, bool in_place) {
  ProblemBuilder b(name_of("swiglu_backward", s, in_place ? "_in_place" : ""), storage);
  const Handle gate_up = b.random("gate_up", {s.rows, 2 * s.width}, 3),
               dout = b.random("dout", {s.rows, s.width});
  const Handle dgate_up = in_place ? gate_up : b.output("dgate_up", {s.rows, 2 * s.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.swiglu_backward({.gate_up = v[gate_up], .dout = v[dout], .dgate_up = v[dgate_up]});
  });
}

Problem gelu_forward(const RowShape& s, Storage storage) {
  ProblemBuilder b(name_of("gelu_forward", s), storage);
  const Handle x = b.random("x", {s.rows, s.width}, 2), out = b.output("out", {s.rows, s.width});
  return b.build([=](Ops& ops, const Views& v) { ops.gelu_forward({.x = v[x], .out = v[out]}); });
}

Problem gelu_backward(const RowShape& s, Storage storage, bool in_place) {
  ProblemBuilder b(name_of("gelu_backward", s, in_place ? "_in_place" : ""), storage);
  const Handle x = b.random("x", {s.rows, s.width}, 2), dout = b.random("dout", {s.rows, s.width});
  const Handle dx = in_place ? dout : b.output("dx", {s.rows, s.width});
  return b.build(
      [=](Ops& ops, const Views& v) { ops.gelu_backward({.x = v[x], .dout = v[dout], .dx = v[dx]}); });
}

/// What the first of two context ranks has of sequences of 13 tokens: positions 0 to 3 and 10 to 12.
TokenMap two_blocks(std::int64_t first_sample) {
  return TokenMap::context(first_sample, 13, 2, 0);
}

Problem dropout(const RowShape& s, Storage storage, float probability, const TokenMap& rows) {
  ProblemBuilder b(
      name_of("dropout", s, fmt::format("_p{}{}", probability, rows.is_whole() ? "" : "_blocks")), storage);
  const Handle x = b.random("x", {s.rows, s.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.dropout({.x = v[x], .probability = probability, .key = {7, 9}, .rows = rows});
  });
}

Problem add(const RowShape& s, Storage storage) {
  ProblemBuilder b(name_of("add", s), storage);
  const Handle x = b.contiguous(b.random("x", {s.rows, s.width})),
               y = b.contiguous(b.random("y", {s.rows, s.width}));
  return b.build([=](Ops& ops, const Views& v) { ops.add({.x = v[x], .y = v[y]}); });
}

}  // namespace

std::vector<Problem> elementwise_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const RowShape& shape : kShapes) {
    for (const Table& part : kTables) {
      problems.push_back(embedding_forward(shape, storage, part));
      problems.push_back(embedding_backward_weight(shape, storage, part));
    }
    problems.push_back(swiglu_forward(shape, storage));
    problems.push_back(gelu_forward(shape, storage));
    problems.push_back(add(shape, storage));
    for (std::int64_t first : {0, 4}) problems.push_back(add_positions(shape, storage, first));
    for (bool in_place : {false, true}) problems.push_back(swiglu_backward(shape, storage, in_place));
    for (bool in_place : {false, true}) problems.push_back(gelu_backward(shape, storage, in_place));
    for (float probability : {0.0f, 0.3f})
      problems.push_back(dropout(shape, storage, probability, TokenMap::whole(1000, 1)));
    problems.push_back(dropout(shape, storage, 0.3f, two_blocks(1000)));
  }
  return problems;
}

}  // namespace caravan::testing
