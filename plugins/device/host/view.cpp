#include "view.hpp"

#include <fmt/format.h>

#include <string>

#include "caravan/error.hpp"

namespace caravan::host {
void Call::fail(std::string_view problem) const {
  throw DeviceError(fmt::format("{} on device 'host': {}", operator_, problem));
}

void Call::check(std::string_view name, const TensorView& view, const ExpectedView& expected) const {
  if (const std::string problem = problem_with_columns(name, view, expected); !problem.empty()) fail(problem);
}

void Call::check_rule(const RouterRule& rule, std::int64_t experts) const {
  if (const std::string problem = problem_with(rule, experts); !problem.empty()) fail(problem);
}

Line Call::flat(std::string_view name, const TensorView& view, std::int64_t count) const {
  if (const std::string problem = problem_with_flat(name, view, count); !problem.empty()) fail(problem);
  const std::int64_t elements = view.count();
  check(name, TensorView(view.data, view.dtype, {elements}), {DType::f32, 1, {elements}});
  return Line(view.as<float>(), elements);
}

void Call::check_offsets(const std::int32_t* offsets, std::int64_t experts, std::int64_t rows) const {
  std::int32_t previous = 0;
  for (std::int64_t e = 0; e <= experts; ++e) {
    if (offsets[e] < previous || offsets[e] > rows) {
      fail(fmt::format("offsets[{}] is {} (must ascend from {} to at most {} rows)", e, offsets[e], previous,
                       rows));
    }
    previous = offsets[e];
  }
}

void Call::check_experts(const Rows<std::int32_t>& chosen, std::int64_t experts) const {
  for (std::int64_t t = 0; t < chosen.rows; ++t) {
    for (std::int64_t k = 0; k < chosen.columns; ++k) {
      const std::int32_t expert = chosen.row(t)[k];
      if (expert < 0 || expert >= experts) {
        fail(fmt::format("expert {} of token {} (there are {})", expert, t, experts));
      }
    }
  }
}

}  // namespace caravan::host
