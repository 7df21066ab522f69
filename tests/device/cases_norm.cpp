#include <fmt/format.h>

#include <cmath>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

struct NormShape {
  std::int64_t tokens, width;
};

constexpr NormShape kNormShapes[] = {{1, 1},    {3, 7},    {33, 130}, {5, 1025},
                                     {67, 768}, {9, 2056}, {3, 5120}, {2, 40000}};

std::string name_of(std::string_view op, const NormShape& s, std::string_view variant = "") {
  return fmt::format("{}/T{}_H{}{}", op, s.tokens, s.width, variant);
}

Problem rmsnorm_forward(const NormShape& s, Storage storage) {
  ProblemBuilder b(name_of("rmsnorm_forward", s), storage);
  const Handle x = b.random("x", {s.tokens, s.width}, 3), weight = b.random("weight", {s.width});
  const Handle y = b.output("y", {s.tokens, s.width}), rstd = b.f32_output("rstd", {s.tokens});
  return b.build([=](Ops& ops, const Views& v) {
    ops.rmsnorm_forward({.x = v[x], .weight = v[weight], .y = v[y], .rstd = v[rstd], .eps = 1e-5f});
  });
}

enum class Residual { none, given, in_place };

Problem rmsnorm_backward_input(const NormShape& s, Storage storage, Residual residual) {
  constexpr const char* kVariant[] = {"", "_residual", "_residual_is_dx"};
  ProblemBuilder b(name_of("rmsnorm_backward_input", s, kVariant[static_cast<int>(residual)]), storage);
  const Handle x = b.random("x", {s.tokens, s.width}, 3), weight = b.random("weight", {s.width});
  const Handle y = b.output("y", {s.tokens, s.width}), rstd = b.f32_output("rstd", {s.tokens});
  b.prepare([=](Ops& ops, const Views& v) {
    ops.rmsnorm_forward({.x = v[x], .weight = v[weight], .y = v[y], .rstd = v[rstd], .eps = 1e-5f});
  });
  const Handle dy = b.random("dy", {s.tokens, s.width}), given = b.random("residual", {s.tokens, s.width});
  const Handle dx =
      residual == Residual::in_place ? given : b.cancels(b.output("dx", {s.tokens, s.width}), 0.5);
  return b.build([=](Ops& ops, const Views& v) {
    ops.rmsnorm_backward_input({.x = v[x],
                                .weight = v[weight],
                                .rstd = v[rstd],
                                .dy = v[dy],
                                .residual = residual == Residual::none ? TensorView() : v[given],
                                .dx = v[dx]});
  });
}

Problem rmsnorm_backward_weight(const NormShape& s, Storage storage) {
  ProblemBuilder b(name_of("rmsnorm_backward_weight", s), storage);
  const Handle x = b.random("x", {s.tokens, s.width}, 3), dy = b.random("dy", {s.tokens, s.width});
  const Handle rstd = b.f32_random("rstd", {s.tokens}), dweight = b.f32_random("dweight", {s.width});
  return b.build([=](Ops& ops, const Views& v) {
    ops.rmsnorm_backward_weight({.x = v[x], .rstd = v[rstd], .dy = v[dy], .dweight = v[dweight]});
  });
}

struct QkCase {
  const char* name;
  std::int64_t batch, sequence_length, heads, kv_heads, head_dim, first_position;
  bool rotate;
  float norm_eps, temperature_scale, floor_scale;
  bool blocks = false;  ///< of twice as long sequences, as the first of two context ranks has them

  TokenMap tokens() const {
    return blocks ? TokenMap::context(0, 2 * sequence_length, 2, 0)
                  : TokenMap::piece(first_position, sequence_length);
  }
};

constexpr QkCase kQkCases[] = {
    {"one", 1, 1, 1, 1, 2, 0, true, 1e-5f, 0, 0},
    {"rope", 2, 5, 4, 2, 16, 0, true, 0, 0, 0},
    {"rope_norm", 2, 33, 3, 1, 10, 0, true, 1e-5f, 0, 0},
    {"norm_only", 1, 3, 2, 2, 64, 0, false, 1e-5f, 0, 0},
    {"temperature", 2, 7, 4, 2, 8, 3, false, 0, 0.1f, 4},
    {"everything_from_5", 3, 1, 6, 2, 32, 5, true, 1e-6f, 0.1f, 3},
    {"blocks", 3, 6, 4, 2, 16, 0, true, 1e-5f, 0.1f, 3, true},
    {"nothing", 1, 4, 2, 1, 8, 0, false, 0, 0, 0},
    {"odd_head", 1, 5, 2, 1, 7, 0, false, 1e-5f, 0, 0},
    {"head_64", 2, 9, 4, 2, 64, 1, true, 1e-5f, 0.1f, 4},
    {"head_96", 3, 7, 8, 8, 96, 0, true, 1e-5f, 0, 0},
    {"head_128", 2, 19, 10, 2, 128, 0, true, 1e-5f, 0, 0},
    {"queries_alone", 2, 7, 4, 0, 16, 3, true, 1e-5f, 0.1f, 3},
    {"keys_alone", 2, 7, 0, 2, 16, 3, true, 1e-5f, 0.1f, 3},
    {"head_256", 1, 3, 3, 1, 256, 2, true, 0, 0.2f, 2},
};

struct QkOperands {
  Handle cos, sin, qkv, rstd;
};

QkOperands qk_operands(ProblemBuilder& b, const QkCase& c) {
  const std::int64_t positions = c.tokens().positions() + 2, tokens = c.batch * c.sequence_length;
  std::vector<double> cosines, sines;
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t i = 0; i < c.head_dim / 2; ++i) {
      const double angle =
          static_cast<double>(p) * std::pow(100.0, -2.0 * static_cast<double>(i) / c.head_dim);
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
  }
  const Shape table{positions, c.head_dim / 2};
  return {b.given("cos", DType::f32, table, cosines), b.given("sin", DType::f32, table, sines),
          b.random("qkv", {tokens, (c.heads + 2 * c.kv_heads) * c.head_dim}),
          b.given("rstd", DType::f32, {tokens, c.heads + c.kv_heads}, {})};
}

QkPrepare how(const QkCase& c, const QkOperands& o, const Views& v) {
  QkPrepare result{.heads = c.heads,
                   .kv_heads = c.kv_heads,
                   .head_dim = c.head_dim,
                   .tokens = c.tokens(),
                   .norm_eps = c.norm_eps,
                   .temperature_scale = c.temperature_scale,
                   .floor_scale = c.floor_scale};
  if (c.rotate) result.cos = v[o.cos], result.sin = v[o.sin];
  return result;
}

TensorView rstd_of(const QkCase& c, const QkOperands& o, const Views& v) {
  return c.norm_eps > 0 ? v[o.rstd] : TensorView();
}

Problem qk_prepare_forward(const QkCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("qk_prepare_forward/{}", c.name), storage);
  const QkOperands o = qk_operands(b, c);
  return b.build([=](Ops& ops, const Views& v) {
    ops.qk_prepare_forward({.how = how(c, o, v), .qkv = v[o.qkv], .rstd = rstd_of(c, o, v)});
  });
}

Problem qk_prepare_backward(const QkCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("qk_prepare_backward/{}", c.name), storage);
  const QkOperands o = qk_operands(b, c);
  b.prepare([=](Ops& ops, const Views& v) {
    ops.qk_prepare_forward({.how = how(c, o, v), .qkv = v[o.qkv], .rstd = rstd_of(c, o, v)});
  });
  const Handle dqkv =
      b.random("dqkv", {c.batch * c.sequence_length, (c.heads + 2 * c.kv_heads) * c.head_dim});
  return b.build([=](Ops& ops, const Views& v) {
    ops.qk_prepare_backward(
        {.how = how(c, o, v), .qkv = v[o.qkv], .rstd = rstd_of(c, o, v), .dqkv = v[dqkv]});
  });
}

}  // namespace

std::vector<Problem> norm_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const NormShape& shape : kNormShapes) {
    problems.push_back(rmsnorm_forward(shape, storage));
    problems.push_back(rmsnorm_backward_weight(shape, storage));
    for (Residual residual : {Residual::none, Residual::given, Residual::in_place}) {
      problems.push_back(rmsnorm_backward_input(shape, storage, residual));
    }
  }
  for (const QkCase& c : kQkCases) {
    problems.push_back(qk_prepare_forward(c, storage));
    problems.push_back(qk_prepare_backward(c, storage));
  }
  return problems;
}

}  // namespace caravan::testing
