#include <fmt/format.h>

#include <numeric>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

/// How many rows each expert has; `spare` rows of the buffer belong to nobody.
struct GroupCase {
  const char* name;
  std::vector<std::int32_t> rows_of_expert;
  std::int64_t outputs, inputs, spare;
};

const std::vector<GroupCase>& group_cases() {
  static const std::vector<GroupCase> kCases = {
      {"one", {1}, 1, 1, 0},
      {"empty_experts", {0, 3, 0, 5, 0}, 7, 9, 0},
      {"all_to_one", {0, 0, 33, 0}, 17, 40, 0},
      {"nobody", {0, 0, 0}, 4, 4, 6},
      {"uneven", {1, 70, 2, 35}, 66, 33, 0},
      {"spare_rows", {4, 0, 9}, 8, 16, 5},
      {"few_rows", {0, 3, 0, 5, 1}, 72, 2184, 0},
      {"few_and_spare", {1, 0, 17, 2}, 40, 264, 4},
      {"aligned_all_to_one", {0, 0, 200, 0}, 72, 136, 0},
      {"aligned_tiles", {0, 130, 1, 257, 63}, 264, 328, 3},
  };
  return kCases;
}

std::vector<std::int32_t> offsets_of(const GroupCase& c) {
  std::vector<std::int32_t> offsets(c.rows_of_expert.size() + 1, 0);
  std::partial_sum(c.rows_of_expert.begin(), c.rows_of_expert.end(), offsets.begin() + 1);
  return offsets;
}

struct Group {
  std::int64_t rows, experts;
  Handle offsets;
};

Group group(ProblemBuilder& b, const GroupCase& c) {
  const std::vector<std::int32_t> offsets = offsets_of(c);
  const auto experts = static_cast<std::int64_t>(c.rows_of_expert.size());
  return {offsets.back() + c.spare, experts, b.indices("offsets", {experts + 1}, offsets)};
}

Problem grouped_linear_forward(const GroupCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("grouped_linear_forward/{}", c.name), storage);
  const Group g = group(b, c);
  const Handle x = b.random("x", {g.rows, c.inputs}), w = b.random("w", {g.experts, c.outputs, c.inputs});
  const Handle y = b.output("y", {g.rows, c.outputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.grouped_linear_forward({.x = v[x], .offsets = v[g.offsets], .w = v[w], .y = v[y]});
  });
}

Problem grouped_linear_backward_input(const GroupCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("grouped_linear_backward_input/{}", c.name), storage);
  const Group g = group(b, c);
  const Handle dy = b.random("dy", {g.rows, c.outputs}), w = b.random("w", {g.experts, c.outputs, c.inputs});
  const Handle dx = b.output("dx", {g.rows, c.inputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.grouped_linear_backward_input({.dy = v[dy], .offsets = v[g.offsets], .w = v[w], .dx = v[dx]});
  });
}

Problem grouped_linear_backward_weight(const GroupCase& c, Storage storage, Accumulate accumulate) {
  const bool adds = accumulate == Accumulate::add;
  ProblemBuilder b(fmt::format("grouped_linear_backward_weight/{}{}", c.name, adds ? "" : "_replace"),
                   storage);
  const Group g = group(b, c);
  const Handle x = b.random("x", {g.rows, c.inputs}), dy = b.random("dy", {g.rows, c.outputs});
  const Shape shape{g.experts, c.outputs, c.inputs};
  const Handle dw = b.contiguous(adds ? b.f32_random("dw", shape) : b.f32_output("dw", shape));
  const Handle squares = b.given("squares", DType::f64, {1}, {0.5});
  return b.build([=](Ops& ops, const Views& v) {
    ops.grouped_linear_backward_weight({.x = v[x],
                                        .dy = v[dy],
                                        .offsets = v[g.offsets],
                                        .dw = v[dw],
                                        .accumulate = accumulate,
                                        .squares = adds ? TensorView() : v[squares]});
  });
}

/// Rows of experts, or one matrix for all.
struct Halves {
  GroupCase rows;
  bool grouped;
};

std::vector<Halves> halves() {
  const GroupCase one{"one_matrix", {70}, 48, 33, 0}, large{"one_matrix_aligned", {300}, 264, 200, 0},
      few{"one_matrix_few", {7}, 56, 264, 0};
  std::vector<Halves> all{{one, false}, {large, false}, {few, false}};
  for (const GroupCase& c : group_cases()) {
    if (c.spare == 0) all.push_back({c, true});
  }
  all.push_back({{"aligned_uneven", {0, 130, 1, 257, 63}, 264, 328, 0}, true});
  return all;
}

Shape weights(const Halves& h, std::int64_t outputs, std::int64_t inputs) {
  const auto experts = static_cast<std::int64_t>(h.rows.rows_of_expert.size());
  return h.grouped ? Shape{experts, outputs, inputs} : Shape{outputs, inputs};
}

/// `outputs` is the width F of the hidden layer.
Problem gate_up_forward(const Halves& h, Storage storage) {
  ProblemBuilder b(fmt::format("gate_up_forward/{}", h.rows.name), storage);
  const Group g = group(b, h.rows);
  const std::int64_t width = h.rows.outputs, inputs = h.rows.inputs;
  const Handle x = b.random("x", {g.rows, inputs}), w = b.random("w", weights(h, 2 * width, inputs), 0.3);
  const Handle pre = b.output("pre", {g.rows, 2 * width}), activated = b.output("activated", {g.rows, width});
  return b.build([=, grouped = h.grouped](Ops& ops, const Views& v) {
    const TensorView offsets = grouped ? v[g.offsets] : TensorView();
    ops.gate_up_forward({.x = v[x], .offsets = offsets, .w = v[w], .pre = v[pre], .activated = v[activated]});
  });
}

Problem down_backward_input(const Halves& h, Storage storage) {
  ProblemBuilder b(fmt::format("down_backward_input/{}", h.rows.name), storage);
  const Group g = group(b, h.rows);
  const std::int64_t width = h.rows.outputs, outputs = h.rows.inputs;
  const Handle dy = b.random("dy", {g.rows, outputs}), w = b.random("w", weights(h, outputs, width), 0.3);
  const Handle pre = b.random("pre", {g.rows, 2 * width}),
               dactivated = b.scratch("dactivated", {g.rows, width});
  const Handle dpre = b.output("dpre", {g.rows, 2 * width});
  return b.build([=, grouped = h.grouped](Ops& ops, const Views& v) {
    ops.down_backward_input({.dy = v[dy],
                             .offsets = grouped ? v[g.offsets] : TensorView(),
                             .w = v[w],
                             .pre = v[pre],
                             .dactivated = v[dactivated],
                             .dpre = v[dpre]});
  });
}

struct PermuteCase {
  std::int64_t tokens, top_k, width;
  bool weighted;
  bool drops = false;  ///< every third choice has no row
};

constexpr PermuteCase kPermuteCases[] = {
    {1, 1, 1, true},          {5, 1, 7, true},         {5, 1, 7, false},         {7, 3, 9, true},
    {33, 2, 130, true},       {33, 2, 130, false},     {37, 1, 1160, true},      {37, 1, 1160, false},
    {21, 2, 520, true},       {19, 8, 264, true},      {13, 1, 264, true, true}, {13, 1, 264, false, true},
    {33, 2, 130, true, true}, {19, 8, 72, true, true}, {19, 3, 9, false, true}};

std::string name_of(std::string_view op, const PermuteCase& c, std::string_view variant = "") {
  return fmt::format("{}/T{}_K{}_H{}{}{}", op, c.tokens, c.top_k, c.width, c.weighted ? "_weights" : "",
                     c.drops ? "_drops" : "") +
         std::string(variant);
}

struct Order {
  Handle row_of, choice_of, weights;
};

/// A permutation of the choices that is no identity: row = (7·choice + 3) mod R, or the identity where 7
/// divides R.
Order order(ProblemBuilder& b, const PermuteCase& c) {
  const std::int64_t rows = c.tokens * c.top_k, step = rows % 7 == 0 ? 1 : 7;
  std::vector<std::int32_t> row_of(rows), choice_of(rows);
  for (std::int64_t choice = 0; choice < rows; ++choice) {
    row_of[choice] = static_cast<std::int32_t>((step * choice + 3) % rows);
    const bool is_dropped = c.drops && choice % 3 == 1;
    choice_of[row_of[choice]] = is_dropped ? -1 : static_cast<std::int32_t>(choice);
    if (is_dropped) row_of[choice] = -1;
  }
  return {b.indices("row_of", {c.tokens, c.top_k}, row_of), b.indices("choice_of", {rows}, choice_of),
          b.contiguous(b.f32_random("weights", {c.tokens, c.top_k}))};
}

/// Rows that are written, but for those that no choice has, which stay.
Handle some_rows(ProblemBuilder& b, const char* name, const PermuteCase& c) {
  const Shape shape{c.tokens * c.top_k, c.width};
  return c.drops ? b.random(name, shape) : b.output(name, shape);
}

TensorView only_if(bool wanted, TensorView view) {
  return wanted ? view : TensorView();
}

Problem permute_forward(const PermuteCase& c, Storage storage) {
  ProblemBuilder b(name_of("permute_forward", c), storage);
  const Order o = order(b, c);
  const Handle x = b.random("x", {c.tokens, c.width}), out = some_rows(b, "out", c);
  return b.build([=](Ops& ops, const Views& v) {
    ops.permute_forward({.x = v[x],
                         .choice_of = v[o.choice_of],
                         .weights = only_if(c.weighted, v[o.weights]),
                         .top_k = c.top_k,
                         .out = v[out]});
  });
}

Problem permute_backward(const PermuteCase& c, Storage storage, bool accumulate) {
  ProblemBuilder b(name_of("permute_backward", c, accumulate ? "_accumulate" : ""), storage);
  const Order o = order(b, c);
  const Handle x = b.random("x", {c.tokens, c.width}), dout = b.random("dout", {c.tokens * c.top_k, c.width});
  const Handle dx = accumulate ? b.random("dx", {c.tokens, c.width}) : b.output("dx", {c.tokens, c.width});
  const Handle dweights = b.contiguous(b.f32_output("dweights", {c.tokens, c.top_k}));
  return b.build([=](Ops& ops, const Views& v) {
    ops.permute_backward({.x = only_if(c.weighted, v[x]),
                          .dout = v[dout],
                          .row_of = v[o.row_of],
                          .weights = only_if(c.weighted, v[o.weights]),
                          .dx = v[dx],
                          .dweights = only_if(c.weighted, v[dweights]),
                          .accumulate = accumulate});
  });
}

enum class Base { none, given, in_place };

Problem combine_forward(const PermuteCase& c, Storage storage, Base base) {
  constexpr const char* kVariant[] = {"", "_base", "_base_is_y"};
  ProblemBuilder b(name_of("combine_forward", c, kVariant[static_cast<int>(base)]), storage);
  const Order o = order(b, c);
  const Handle rows = b.random("rows", {c.tokens * c.top_k, c.width}),
               given = b.random("base", {c.tokens, c.width});
  const Handle y = base == Base::in_place ? given : b.output("y", {c.tokens, c.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.combine_forward({.rows = v[rows],
                         .row_of = v[o.row_of],
                         .weights = only_if(c.weighted, v[o.weights]),
                         .base = only_if(base != Base::none, v[given]),
                         .y = v[y]});
  });
}

Problem combine_backward(const PermuteCase& c, Storage storage) {
  ProblemBuilder b(name_of("combine_backward", c), storage);
  const Order o = order(b, c);
  const Handle dy = b.random("dy", {c.tokens, c.width}),
               rows = b.random("rows", {c.tokens * c.top_k, c.width});
  const Handle drows = some_rows(b, "drows", c);
  const Handle dweights = b.contiguous(b.f32_output("dweights", {c.tokens, c.top_k}));
  return b.build([=](Ops& ops, const Views& v) {
    ops.combine_backward({.dy = v[dy],
                          .rows = only_if(c.weighted, v[rows]),
                          .row_of = v[o.row_of],
                          .weights = only_if(c.weighted, v[o.weights]),
                          .drows = v[drows],
                          .dweights = only_if(c.weighted, v[dweights])});
  });
}

}  // namespace

std::vector<Problem> expert_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const GroupCase& c : group_cases()) {
    problems.push_back(grouped_linear_forward(c, storage));
    problems.push_back(grouped_linear_backward_input(c, storage));
    for (Accumulate accumulate : {Accumulate::add, Accumulate::replace})
      problems.push_back(grouped_linear_backward_weight(c, storage, accumulate));
  }
  for (const Halves& h : halves()) {
    problems.push_back(gate_up_forward(h, storage));
    problems.push_back(down_backward_input(h, storage));
  }
  for (const PermuteCase& c : kPermuteCases) {
    problems.push_back(permute_forward(c, storage));
    problems.push_back(combine_backward(c, storage));
    for (bool accumulate : {false, true}) problems.push_back(permute_backward(c, storage, accumulate));
    for (Base base : {Base::none, Base::given, Base::in_place})
      problems.push_back(combine_forward(c, storage, base));
  }
  return problems;
}

}  // namespace caravan::testing
