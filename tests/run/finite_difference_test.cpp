#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>

#include "caravan/random.hpp"
#include "tests/run/tiny_model.hpp"

// The gradient of a whole model against differences of its loss, along one random direction a parameter: what
// the layers' hand-written backward, the walks and the stash make of the operators.
namespace caravan::testing {
namespace {

constexpr std::uint64_t kSeed = 5;
constexpr double kRelative = 2e-3;  // of the gradient's length
constexpr double kRounding = 2e-6;  // of a loss around 3 made of 24-bit numbers

class WholeModel : public ::testing::TestWithParam<tiny::Variant> {
 protected:
  WholeModel()
      : model_(tiny::config(GetParam().assignments)),
        batch_(random_batch(2, 7, tiny::kVocabulary, 3)),
        walker_(model_, batch_.shape(Phase::train), StashMode::fused) {
    batch_.first_sample = 6;
    batch_.labels[3] = kIgnoredLabel;
    tiny::fill(model_, 11);
  }

  StepScales scales() const {
    return {kSeed, static_cast<float>(1.0 / static_cast<double>(batch_.valid())), 0.5f};
  }

  double objective() {
    const Sums sums = walker_.run(forward_row(1), batch_, scales());
    return sums.loss / static_cast<double>(batch_.valid()) + sums.balance;
  }

  std::vector<std::int32_t> choices() {
    std::vector<std::int32_t> all;
    for (std::size_t layer = 0; layer < model_.stage().layers().size(); ++layer) {
      const auto chosen = chosen_experts(model_, walker_, layer);
      all.insert(all.end(), chosen.begin(), chosen.end());
    }
    return all;
  }

  /// The loss with the parameter moved; nothing when another expert is chosen somewhere, since the loss jumps
  /// there.
  std::optional<double> objective_at(const std::string& name, const std::vector<float>& along, double by) {
    const std::vector<float> start = values(model_.weight(name));
    std::vector<float> moved(start.size());
    for (std::size_t i = 0; i < start.size(); ++i) moved[i] = static_cast<float>(start[i] + by * along[i]);
    model_.set(name, moved);
    const double value = objective();
    model_.set(name, start);
    return choices() == choices_ ? std::optional(value) : std::nullopt;
  }

  /// Five points, so that the step can be wide enough for 24 bits of mantissa.
  std::optional<double> slope(const std::string& name, const std::vector<float>& along, double h) {
    const auto left2 = objective_at(name, along, -2 * h), left = objective_at(name, along, -h);
    const auto right = objective_at(name, along, h), right2 = objective_at(name, along, 2 * h);
    if (!left2 || !left || !right || !right2) return std::nullopt;
    return (8 * (*right - *left) - (*right2 - *left2)) / (12 * h);
  }

  /// Compares along the gradient's own direction, where the slope is largest, mixed with a random one of the
  /// same length.
  void expect_slope(const std::string& name, const std::vector<float>& gradient) {
    const double size = length(gradient);
    std::vector<float> along(gradient.size());
    for (std::size_t i = 0; i < along.size(); ++i) along[i] = normal({kSeed, hash_name(name)}, 2, i);
    const double random_size = length(along);
    double expected = 0;
    for (std::size_t i = 0; i < along.size(); ++i) {
      along[i] = static_cast<float>(along[i] / random_size + gradient[i] / size);
      expected += static_cast<double>(gradient[i]) * along[i];
    }
    for (double h = 4e-3; h > 5e-5; h /= 2) {
      const auto measured = slope(name, along, h);
      if (!measured) continue;
      EXPECT_NEAR(*measured, expected, kRelative * size + kRounding / h) << name << " with step " << h;
      return;
    }
    ADD_FAILURE() << name << ": another expert is chosen however small the step; take another seed";
  }

  static double length(const std::vector<float>& of) {
    double squares = 0;
    for (float value : of) squares += static_cast<double>(value) * value;
    return std::sqrt(squares);
  }

  /// From one forward and backward, by part.
  std::map<std::string, std::vector<float>> gradients() {
    model_.parameters().start_gradients(model_.device());
    walker_.run(fused_row(1), batch_, scales());
    choices_ = choices();
    std::map<std::string, std::vector<float>> result;
    for (const std::string& name : model_.names()) result[name] = values(model_.grad(name));
    return result;
  }

  TestModel model_;
  TestBatch batch_;
  Walker walker_;
  std::vector<std::int32_t> choices_;
};

INSTANTIATE_TEST_SUITE_P(Variants, WholeModel, ::testing::ValuesIn(tiny::variants()),
                         [](const auto& test) { return test.param.name; });

TEST_P(WholeModel, gradients_are_slopes_of_the_loss) {
  for (const auto& [name, gradient] : gradients()) {
    ASSERT_GT(length(gradient), 1e-6) << name << " has no gradient";
    expect_slope(name, gradient);
  }
}

}  // namespace
}  // namespace caravan::testing
