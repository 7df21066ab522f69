#include <gmock/gmock.h>

#include "tests/jobs/hf_folder.hpp"

// attention_mask, position_ids, labels and strangers in the inputs of `caravan forward`. Expected losses and
// norms of all gradients: transformers 5.24, float64, labels only where neither token nor predecessor is
// masked.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kLength = 20;
using Values = std::vector<std::int64_t>;

Values both_rows(const std::function<std::int64_t(std::int64_t)>& value) {
  Values values;
  for (std::int64_t at = 0; at < 2 * kLength; ++at) values.push_back(value(at % kLength));
  return values;
}

/// Ones but for the named places of the flat [2, 20].
Values ones_but(const Values& masked) {
  Values mask(2 * kLength, 1);
  for (std::int64_t at : masked) mask[static_cast<std::size_t>(at)] = 0;
  return mask;
}

/// What users do: positions count attended tokens.
Values counted(const Values& mask) {
  Values positions;
  for (std::int64_t at = 0, count = 0; at < 2 * kLength; ++at) {
    if (at % kLength == 0) count = 0;
    count += mask[static_cast<std::size_t>(at)];
    positions.push_back(std::max<std::int64_t>(count - 1, 0));
  }
  return positions;
}

struct Case {
  const char* name;
  Values mask, positions;  ///< empty: not in the file
  double loss, gradient;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

std::vector<Case> cases() {
  const Values left = ones_but({0, 1, 2, 3, 4}), right = ones_but({15, 16, 17, 18, 19, 39});
  const Values holes = ones_but({3, 10, 39, 27, 28}), counted_holes = ones_but({3, 10, 27, 28});
  Values first_row_whole = both_rows([](std::int64_t t) { return t < 7 ? t : t - 7; });
  for (std::int64_t t = 0; t < kLength; ++t) first_row_whole[static_cast<std::size_t>(t)] = t;
  Values masked_row;
  for (std::int64_t t = 0; t < kLength; ++t) masked_row.push_back(t);
  return {
      {"LeftPadding", left, {}, 4.8068728, 4.568191},
      {"RightPadding", right, {}, 4.6763663, 3.395693},
      {"Holes", holes, {}, 4.6819901, 3.632550},
      {"PositionsThatCountAttendedTokens", counted_holes, counted(counted_holes), 4.7059307, 3.613361},
      {"AnyPositionsWithAMask", ones_but({}), both_rows([](std::int64_t t) { return t - 7 + t % 3; }),
       4.7060308, 3.363870},
      {"PositionsFromFive", {}, both_rows([](std::int64_t t) { return t + 5; }), 4.6944470, 2.926037},
      {"PackedSequences", {}, both_rows([](std::int64_t t) { return t % 10; }), 4.7740932, 3.054200},
      {"PackedInOneRow", {}, first_row_whole, 4.8091302, 2.810057},
      {"PackedFarApart",
       {},
       both_rows([](std::int64_t t) { return t < 6 ? t : t + 14; }),
       4.8668280,
       3.219565},
      {"ARowMaskedWhole", ones_but(masked_row), {}, 4.7342200, 5.263067},
  };
}

class ForwardInputs : public HfFolder {
 protected:
  void SetUp() override {
    HfFolder::SetUp();
    if (case_file("hf_folders").empty()) GTEST_SKIP() << "no hf_folders in CARAVAN_CASES_DIR";
    take("attention_mask");
  }
  double gradient_norm() const {
    double sum = 0;
    const io::SafetensorsFile gradients(file("gradients.safetensors"));
    for (const std::string& name : gradients.names())
      for (float value : gradients.read_as_f32(name)) sum += double{value} * value;
    return std::sqrt(sum);
  }
  void expect_refused(const std::vector<std::pair<std::string, Values>>& tensors, const std::string& why) {
    const Outcome outcome = forward(write_inputs(tensors));
    EXPECT_TRUE(ended_with(outcome, 3));
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(file("out.safetensors")));
  }
};

class MasksAndPositions : public ForwardInputs, public ::testing::WithParamInterface<Case> {
 protected:
  Outcome expect_answers(const std::vector<std::string>& more = {}, int ranks = 0) {
    std::vector<std::pair<std::string, Values>> tensors;
    if (!GetParam().mask.empty()) tensors.emplace_back("attention_mask", GetParam().mask);
    if (!GetParam().positions.empty()) tensors.emplace_back("position_ids", GetParam().positions);
    std::vector<std::string> arguments{"--gradients", file("gradients.safetensors")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome outcome = forward(write_inputs(tensors), arguments, ranks);
    EXPECT_TRUE(ended_with(outcome, 0));
    EXPECT_NEAR(loss(), GetParam().loss, 2e-6);
    EXPECT_NEAR(gradient_norm(), GetParam().gradient, 2e-4 * GetParam().gradient);
    return outcome;
  }
};

TEST_P(MasksAndPositions, GiveTransformersLossAndGradients) {
  const Outcome outcome = expect_answers();
  const bool is_packed = std::string(GetParam().name).starts_with("Packed");
  EXPECT_EQ(outcome.err.find("a sequence of its own") != std::string::npos, is_packed) << outcome.err;
}

/// Some pieces have fewer tokens than the ranks have blocks.
TEST_P(MasksAndPositions, GiveThemOnContextRanksToo) {
  expect_answers();
  const auto alone = logits();
  for (const int ranks : {2, 4}) {
    SCOPED_TRACE(ranks);
    expect_answers({"--context", std::to_string(ranks)}, ranks);
    const auto divided = logits();
    for (std::size_t at = 0; at < alone.size(); ++at) {
      ASSERT_NEAR(divided[at], alone[at], 2e-5) << "token " << at / 97;
      ASSERT_EQ(divided[at] == 0, alone[at] == 0) << "token " << at / 97;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MasksAndPositions, ::testing::ValuesIn(cases()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(ForwardInputs, MaskedTokensChangeNothingAndHaveNoLogits) {
  const Values mask = ones_but({3, 10, 39});
  ASSERT_TRUE(ended_with(forward(write_inputs({{"attention_mask", mask}})), 0));
  const auto before = logits();
  for (std::size_t at = 0; at < mask.size(); ++at)
    if (mask[at] == 0) ids_[at] = (ids_[at] + 1) % 97;
  ASSERT_TRUE(ended_with(forward(write_inputs({{"attention_mask", mask}})), 0));
  const auto after = logits();
  for (std::size_t i = 0; i < before.size(); ++i) {
    ASSERT_NEAR(after[i], before[i], 1e-5) << "token " << i / 97;
    ASSERT_EQ(before[i] == 0, mask[i / 97] == 0) << "token " << i / 97;
  }
}

TEST_F(ForwardInputs, RanksShareThePackedSequencesOfARow) {
  const Values positions = both_rows([](std::int64_t t) { return t % 10; });
  const Outcome outcome =
      forward(write_inputs({{"position_ids", positions}}), {"--gradients", file("gradients.safetensors")}, 2);
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_NEAR(loss(), 4.7740932, 2e-6);
  EXPECT_NEAR(gradient_norm(), 3.054200, 6e-4);
}

TEST_F(ForwardInputs, StrangersAreNamedAndAnswersPassedOver) {
  expect_refused(
      {{"atention_mask", ids_}, {"token_type_ids", ids_}},
      "holds 'atention_mask', 'token_type_ids' (inputs are input_ids, labels, attention_mask, position_ids)");
  const Outcome outcome = forward(write_inputs({{"logits_f64", ids_}, {"router.1", ids_}}));
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("logits_f64, router.1 are answers, not inputs"));
}

TEST_F(ForwardInputs, LabelsOutsideTheVocabularyAreNamedWithTheirPlace) {
  for (std::int64_t label : {std::int64_t{97}, std::int64_t{-1}, std::int64_t{-99}, std::int64_t{1} << 40}) {
    Values labels = ids_;
    labels[23] = label;
    expect_refused({{"labels", labels}},
                   "labels has token " + std::to_string(label) + " (the model's vocab_size is 97) at [1, 3]");
  }
}

TEST_F(ForwardInputs, LabelsThatAMaskedTokenWouldPredictAreRefused) {
  Values labels = ids_;
  const Values mask = ones_but({0, 1, 2});
  expect_refused({{"labels", labels}, {"attention_mask", mask}},
                 "which the masked token before it would have to");
  labels[1] = labels[2] = labels[3] = -100;
  EXPECT_TRUE(ended_with(forward(write_inputs({{"labels", labels}, {"attention_mask", mask}})), 0));
}

TEST_F(ForwardInputs, MasksAndPositionsThatMeanNothingAreRefused) {
  Values mask = ones_but({});
  mask[22] = 2;
  expect_refused({{"attention_mask", mask}}, "attention_mask has 2 at [1, 2] (0: masked, 1: attended to)");
  expect_refused({{"attention_mask", Values(2 * kLength, 0)}}, "attention_mask masks every token");
  const Values far = both_rows([](std::int64_t t) { return t == 3 ? 1 << 21 : t; });
  expect_refused({{"attention_mask", ones_but({})}, {"position_ids", far}},
                 "position_ids go from 0 to 2097152");
  const Values inside = both_rows([](std::int64_t t) { return t < 12 ? t + 5 : t; });
  expect_refused({{"position_ids", inside}}, "position_ids of sequence 0 go on from 5 at token 0");
}

}  // namespace
}  // namespace caravan::test
