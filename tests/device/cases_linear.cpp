#include <fmt/format.h>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

struct LinearShape {
  std::int64_t tokens, outputs, inputs;
};

constexpr LinearShape kShapes[] = {
    {1, 1, 1},     {3, 5, 7},     {33, 65, 17},  {70, 130, 129}, {1, 96, 64},  {257, 264, 136}, {1, 3, 8},
    {70, 31, 136}, {333, 75, 72}, {8, 40, 2056}, {19, 64, 512},  {32, 33, 96}, {24, 4240, 64}};

std::string name_of(std::string_view op, const LinearShape& s, std::string_view variant) {
  return fmt::format("{}/T{}_N{}_M{}{}", op, s.tokens, s.outputs, s.inputs, variant);
}

Problem linear_forward_plain(const LinearShape& s, Storage storage) {
  ProblemBuilder b(name_of("linear_forward", s, ""), storage);
  const Handle x = b.random("x", {s.tokens, s.inputs}), w = b.random("w", {s.outputs, s.inputs});
  const Handle y = b.output("y", {s.tokens, s.outputs});
  return b.build([=](Ops& ops, const Views& v) { ops.linear_forward({.x = v[x], .w = v[w], .y = v[y]}); });
}

/// Logits are f32 whatever the compute type.
Problem linear_forward_to_f32(const LinearShape& s, Storage storage) {
  ProblemBuilder b(name_of("linear_forward", s, "_to_f32"), storage);
  const Handle x = b.random("x", {s.tokens, s.inputs}), w = b.random("w", {s.outputs, s.inputs});
  const Handle bias = b.random("bias", {s.outputs}), y = b.f32_output("y", {s.tokens, s.outputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_forward({.x = v[x], .w = v[w], .bias = v[bias], .y = v[y]});
  });
}

Problem linear_forward_full(const LinearShape& s, Storage storage) {
  ProblemBuilder b(name_of("linear_forward", s, "_bias_residual"), storage);
  const Handle x = b.random("x", {s.tokens, s.inputs}), w = b.random("w", {s.outputs, s.inputs});
  const Handle bias = b.random("bias", {s.outputs}), residual = b.random("residual", {s.tokens, s.outputs});
  const Handle y = b.output("y", {s.tokens, s.outputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_forward({.x = v[x], .w = v[w], .bias = v[bias], .residual = v[residual], .y = v[y]});
  });
}

Problem linear_forward_in_place(const LinearShape& s, Storage storage) {
  ProblemBuilder b(name_of("linear_forward", s, "_residual_is_y"), storage);
  const Handle x = b.random("x", {s.tokens, s.inputs}), w = b.random("w", {s.outputs, s.inputs});
  const Handle y = b.random("y", {s.tokens, s.outputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_forward({.x = v[x], .w = v[w], .residual = v[y], .y = v[y]});
  });
}

Problem linear_backward_input(const LinearShape& s, Storage storage, bool accumulate) {
  ProblemBuilder b(name_of("linear_backward_input", s, accumulate ? "_accumulate" : ""), storage);
  const Handle dy = b.random("dy", {s.tokens, s.outputs}), w = b.random("w", {s.outputs, s.inputs});
  const Handle dx = accumulate ? b.random("dx", {s.tokens, s.inputs}) : b.output("dx", {s.tokens, s.inputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_backward_input({.dy = v[dy], .w = v[w], .dx = v[dx], .accumulate = accumulate});
  });
}

Problem linear_backward_weight_replace(const LinearShape& s, Storage storage) {
  ProblemBuilder b(name_of("linear_backward_weight", s, "_replace"), storage);
  const Handle x = b.random("x", {s.tokens, s.inputs}), dy = b.random("dy", {s.tokens, s.outputs});
  const Handle dw = b.contiguous(b.f32_output("dw", {s.outputs, s.inputs}));
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_backward_weight(
        {.x = v[x], .dy = v[dy], .dw = v[dw], .dbias = {}, .accumulate = Accumulate::replace});
  });
}

Problem linear_backward_weight(const LinearShape& s, Storage storage, bool with_bias) {
  ProblemBuilder b(name_of("linear_backward_weight", s, with_bias ? "_bias" : ""), storage);
  const Handle x = b.random("x", {s.tokens, s.inputs}), dy = b.random("dy", {s.tokens, s.outputs});
  const Handle dw = b.contiguous(b.f32_random("dw", {s.outputs, s.inputs})),
               dbias = b.f32_random("dbias", {s.outputs});
  return b.build([=](Ops& ops, const Views& v) {
    ops.linear_backward_weight(
        {.x = v[x], .dy = v[dy], .dw = v[dw], .dbias = with_bias ? v[dbias] : TensorView()});
  });
}

}  // namespace

std::vector<Problem> linear_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const LinearShape& shape : kShapes) {
    problems.push_back(linear_forward_plain(shape, storage));
    problems.push_back(linear_forward_to_f32(shape, storage));
    problems.push_back(linear_forward_full(shape, storage));
    problems.push_back(linear_forward_in_place(shape, storage));
    problems.push_back(linear_backward_weight_replace(shape, storage));
    for (bool on : {false, true}) {
      problems.push_back(linear_backward_input(shape, storage, on));
      problems.push_back(linear_backward_weight(shape, storage, on));
    }
  }
  return problems;
}

}  // namespace caravan::testing
