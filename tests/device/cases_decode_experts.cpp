#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

struct ExpertsCase {
  const char* name;
  std::int64_t tokens, top_k, experts, dim, hidden, shared;
  bool on_input = true, drops = false;  ///< drops: a choice without a row

  std::int64_t choices() const { return tokens * top_k; }
  std::int64_t some_shared() const { return std::max<std::int64_t>(shared, 1); }
};

constexpr ExpertsCase kExpertsCases[] = {
    {"one", 1, 1, 1, 8, 8, 0},
    {"token", 1, 1, 16, 264, 520, 136},
    {"two_choices", 5, 2, 7, 72, 40, 80, false},
    {"sixteen", 16, 1, 4, 40, 48, 48},
    {"dropped", 9, 2, 40, 136, 72, 8, true, true},
    {"most", 32, 2, 16, 64, 296, 304, false},
    {"one_for_all", 32, 1, 1, 528, 264, 0},
};

struct ChosenRows {
  std::vector<std::int32_t> offsets, row_of, choice_of;
};

/// Tokens choose experts in no order; rows are sorted by expert.
ChosenRows chosen_rows(const ExpertsCase& c) {
  const std::int64_t choices = c.choices();
  ChosenRows rows;
  rows.row_of.assign(static_cast<std::size_t>(choices), -1);
  rows.choice_of.assign(static_cast<std::size_t>(choices), -1);
  std::int32_t row = 0;
  for (std::int64_t expert = 0; expert < c.experts; ++expert) {
    rows.offsets.push_back(row);
    for (std::int64_t choice = c.drops ? 1 : 0; choice < choices; ++choice) {
      if ((choice / c.top_k * 5 + choice % c.top_k * 3 + 2) % c.experts != expert) continue;
      rows.row_of[static_cast<std::size_t>(choice)] = row;
      rows.choice_of[static_cast<std::size_t>(row++)] = static_cast<std::int32_t>(choice);
    }
  }
  rows.offsets.push_back(row);
  return rows;
}

/// What a device does that has it not as one operator.
struct ExpertsApart {
  Handle received, pre, out, shared_pre;

  ExpertsApart(ProblemBuilder& b, const ExpertsCase& c)
      : received(b.scratch("received", {c.choices(), c.dim})),
        pre(b.scratch("pre", {c.choices(), 2 * c.hidden})),
        out(b.scratch("out", {c.choices(), c.dim})),
        shared_pre(b.scratch("shared_pre", {c.tokens, 2 * c.some_shared()})) {}

  void run(Ops& ops, const Views& v, const DecodeExperts& args) const {
    ops.permute_forward({args.x, args.choice_of, args.w, args.row_of.extent(1), v[received]});
    ops.gate_up_forward({v[received], args.offsets, args.gate_up, v[pre], args.activated});
    ops.grouped_linear_forward({args.activated, args.offsets, args.down, v[out]});
    if (!args.shared_down.empty()) {
      ops.gate_up_forward({args.x, {}, args.shared_gate_up, v[shared_pre], args.shared_activated});
      ops.linear_forward({args.shared_activated, args.shared_down, {}, args.base, args.y});
    }
    ops.combine_forward({v[out], args.row_of, args.v, args.shared_down.empty() ? args.base : args.y, args.y});
  }
};

Problem decode_experts(const ExpertsCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("decode_experts/{}", c.name), storage);
  const ChosenRows rows = chosen_rows(c);
  const std::int64_t S = c.some_shared();
  const auto weights = [&](const char* name, const Shape& shape) {
    return b.random(name, shape, 1 / std::sqrt(static_cast<double>(shape[shape.rank() - 1])));
  };
  const ExpertsApart apart(b, c);
  const Handle x = b.random("x", {c.tokens, c.dim}),
               offsets = b.indices("offsets", {c.experts + 1}, rows.offsets),
               row_of = b.indices("row_of", {c.tokens, c.top_k}, rows.row_of),
               choice_of = b.indices("choice_of", {c.choices()}, rows.choice_of),
               scores = b.f32_random("scores", {c.tokens, c.top_k}),
               gate_up = weights("gate_up", {c.experts, 2 * c.hidden, c.dim}),
               down = weights("down", {c.experts, c.dim, c.hidden}),
               activated = b.scratch("activated", {c.choices(), c.hidden}),
               shared_gate_up = weights("shared_gate_up", {2 * S, c.dim}),
               shared_down = weights("shared_down", {c.dim, S}),
               shared_activated = b.scratch("shared_activated", {c.tokens, S}),
               base = b.random("base", {c.tokens, c.dim}), y = b.cancels(b.output("y", {c.tokens, c.dim}), 4);
  return b.build([=](Ops& ops, const Views& v) {
    DecodeExperts args{.x = v[x],
                       .offsets = v[offsets],
                       .row_of = v[row_of],
                       .choice_of = v[choice_of],
                       .gate_up = v[gate_up],
                       .down = v[down],
                       .activated = v[activated],
                       .out = v[apart.out],
                       .y = v[y]};
    (c.on_input ? args.w : args.v) = v[scores];
    if (c.shared > 0) {
      args.shared_gate_up = v[shared_gate_up], args.shared_down = v[shared_down];
      args.shared_activated = v[shared_activated], args.base = v[base];
    }
    if (ops.serves(args)) return ops.decode_experts(args);
    apart.run(ops, v, args);
  });
}

}  // namespace

std::vector<Problem> decode_experts_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const ExpertsCase& c : kExpertsCases) problems.push_back(decode_experts(c, storage));
  return problems;
}

}  // namespace caravan::testing
