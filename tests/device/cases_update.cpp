#include <fmt/format.h>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

std::vector<double> squares(std::vector<double> values) {
  for (double& value : values) value *= value;
  return values;
}

Problem adamw_step(std::int64_t count, std::int64_t step, bool with_copy, bool decays_gradient,
                   Storage storage) {
  ProblemBuilder b(fmt::format("adamw_step/n{}_step{}{}{}", count, step, with_copy ? "_copy" : "",
                               decays_gradient ? "_l2" : ""),
                   storage);
  const Handle master = b.f32_random("master", {count}), grad = b.f32_random("grad", {count});
  const Handle exp_avg = b.f32_random("exp_avg", {count}, 0.1),
               exp_avg_sq = b.f32_random("exp_avg_sq", {count}, 0.3);
  b.set(exp_avg_sq, squares(b.values(exp_avg_sq)));
  const Handle weight = b.output("weight", {count});
  const Handle scale = b.given("gradient_scale", DType::f32, {1}, {0.25});
  return b.build([=](Ops& ops, const Views& v) {
    ops.adamw_step({.master = v[master],
                    .grad = v[grad],
                    .exp_avg = v[exp_avg],
                    .exp_avg_sq = v[exp_avg_sq],
                    .weight = with_copy ? v[weight] : TensorView(),
                    .lr = 1e-2,
                    .beta1 = 0.9,
                    .beta2 = 0.95,
                    .eps = 1e-8,
                    .weight_decay = 0.1,
                    .step = step,
                    .gradient_scale = v[scale],
                    .decays_gradient = decays_gradient});
  });
}

Problem sgd_step(std::int64_t count, double momentum, bool nesterov, Storage storage) {
  ProblemBuilder b(fmt::format("sgd_step/n{}_momentum{}{}", count, momentum, nesterov ? "_nesterov" : ""),
                   storage);
  const Handle master = b.f32_random("master", {count}), grad = b.f32_random("grad", {count}),
               buffer = b.f32_random("momentum_buffer", {count});
  const Handle weight = b.output("weight", {count});
  const Handle scale = b.given("gradient_scale", DType::f32, {1}, {0.25}),
               proceed = b.given("proceed", DType::f32, {1}, {1});
  return b.build([=](Ops& ops, const Views& v) {
    ops.sgd_step({.master = v[master],
                  .grad = v[grad],
                  .momentum_buffer = momentum > 0 ? v[buffer] : TensorView(),
                  .weight = momentum > 0 ? v[weight] : TensorView(),
                  .lr = 1e-2,
                  .momentum = momentum,
                  .weight_decay = 0.1,
                  .nesterov = nesterov,
                  .gradient_scale = nesterov ? v[scale] : TensorView(),
                  .proceed = v[proceed]});
  });
}

Problem lion_step(std::int64_t count, bool with_copy, Storage storage) {
  ProblemBuilder b(fmt::format("lion_step/n{}{}", count, with_copy ? "_copy" : ""), storage);
  const Handle master = b.f32_random("master", {count}), grad = b.f32_random("grad", {count}),
               exp_avg = b.f32_random("exp_avg", {count}, 0.1);
  const Handle weight = b.output("weight", {count});
  const Handle scale = b.given("gradient_scale", DType::f32, {1}, {0.25});
  return b.build([=](Ops& ops, const Views& v) {
    ops.lion_step({.master = v[master],
                   .grad = v[grad],
                   .exp_avg = v[exp_avg],
                   .weight = with_copy ? v[weight] : TensorView(),
                   .lr = 1e-2,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .weight_decay = 0.3,
                   .gradient_scale = v[scale]});
  });
}

Problem momentum_step(std::int64_t count, bool nesterov) {
  ProblemBuilder b(fmt::format("momentum_step/n{}{}", count, nesterov ? "_nesterov" : ""), {});
  const Handle grad = b.f32_random("grad", {count}), buffer = b.f32_random("momentum_buffer", {count});
  const Handle scale = b.given("gradient_scale", DType::f32, {1}, {0.25});
  return b.build([=](Ops& ops, const Views& v) {
    ops.momentum_step({.grad = v[grad],
                       .momentum_buffer = v[buffer],
                       .beta = 0.95,
                       .nesterov = nesterov,
                       .gradient_scale = v[scale]});
  });
}

/// With a norm below the floor, above it, or none.
Problem weighted_sum(std::int64_t count, bool with_y, double squares) {
  ProblemBuilder b(fmt::format("weighted_sum/n{}{}_squares{}", count, with_y ? "_y" : "", squares), {});
  const Handle x = b.f32_random("x", {count}), y = b.f32_random("y", {count}),
               out = b.f32_random("out", {count});
  const Handle sum = b.given("squares", DType::f64, {1}, {squares});
  return b.build([=](Ops& ops, const Views& v) {
    ops.weighted_sum({.x = v[x],
                      .y = with_y ? v[y] : TensorView(),
                      .out = v[out],
                      .a = -4.775,
                      .b = 2.0315,
                      .squares = squares > 0 ? v[sum] : TensorView(),
                      .floor = 0.5});
  });
}

Problem sum_of_squares(std::int64_t count) {
  ProblemBuilder b(fmt::format("sum_of_squares/n{}", count), {});
  const Handle x = b.f32_random("x", {count}), out = b.given("out", DType::f64, {1}, {0.5});
  return b.build([=](Ops& ops, const Views& v) { ops.sum_of_squares({.x = v[x], .out = v[out]}); });
}

Problem clip_factor(const char* name, double squares, double max_norm, double before) {
  ProblemBuilder b(fmt::format("clip_factor/{}", name), {});
  const Handle sum = b.given("squares", DType::f64, {1}, {squares}),
               factor = b.given("factor", DType::f32, {1}, {before});
  return b.build([=](Ops& ops, const Views& v) {
    ops.clip_factor({.squares = v[sum], .factor = v[factor], .max_norm = max_norm});
  });
}

Problem expert_bias_update(std::int64_t experts, bool centre) {
  ProblemBuilder b(fmt::format("expert_bias_update/E{}{}", experts, centre ? "_centre" : ""), {});
  std::vector<double> loads;
  for (std::int64_t e = 0; e < experts; ++e) loads.push_back(static_cast<double>(e * e % 7));
  const Handle counts = b.given("counts", DType::f32, {experts}, loads),
               bias = b.f32_random("bias", {experts});
  return b.build([=](Ops& ops, const Views& v) {
    ops.expert_bias_update({.counts = v[counts], .bias = v[bias], .rate = 0.01f, .centre = centre});
  });
}

}  // namespace

std::vector<Problem> update_problems(Storage storage) {
  std::vector<Problem> problems;
  for (std::int64_t count : {1, 7, 1000, 4099, 300'001}) {
    problems.push_back(adamw_step(count, 1, false, false, storage));
    problems.push_back(adamw_step(count, 17, true, false, storage));
    problems.push_back(adamw_step(count, 3, true, true, storage));
    problems.push_back(sgd_step(count, 0, false, storage));
    problems.push_back(sgd_step(count, 0.9, false, storage));
    problems.push_back(sgd_step(count, 0.9, true, storage));
    problems.push_back(lion_step(count, false, storage));
    problems.push_back(lion_step(count, true, storage));
    problems.push_back(momentum_step(count, false));
    problems.push_back(momentum_step(count, true));
    problems.push_back(weighted_sum(count, true, 0));
    problems.push_back(weighted_sum(count, false, 0.04));
    problems.push_back(weighted_sum(count, true, 9));
    problems.push_back(sum_of_squares(count));
  }
  for (std::int64_t experts : {1, 4, 17, 128}) {
    problems.push_back(expert_bias_update(experts, false));
    problems.push_back(expert_bias_update(experts, true));
  }
  problems.push_back(clip_factor("longer", 16, 1, 0.5));
  problems.push_back(clip_factor("shorter", 0.25, 1, 0.5));
  problems.push_back(clip_factor("never", 16, 0, 0.5));
  return problems;
}

}  // namespace caravan::testing
