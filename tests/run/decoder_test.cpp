#include <gtest/gtest.h>

#include <algorithm>

#include "caravan/error.hpp"
#include "tests/run/cached_forward.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/support/message_of.hpp"

// Many sequences in one step.
namespace caravan::testing {
namespace {

std::vector<std::int32_t> prompt_of(std::int64_t length, std::uint64_t seed) {
  return random_batch(1, length, tiny::kVocabulary, seed).tokens;
}

class Batches : public ::testing::TestWithParam<std::string> {
 protected:
  /// Continuations of prompts of the given lengths, a row of each that decodes and a piece of the others in
  /// each step, each joining one step after the one before.
  static std::vector<std::vector<std::int32_t>> together(TestModel& model,
                                                         const std::vector<std::int64_t>& lengths,
                                                         std::int64_t count) {
    const auto slots = static_cast<std::int64_t>(lengths.size());
    const std::int64_t most = *std::max_element(lengths.begin(), lengths.end()) + count;
    const DecodePlan plan = decode_plan(model, slots, most, slots * 3);
    Decoder decoder(model.device(), model.stage(), plan);
    CacheSlots cache(plan.cache, model.stage().chunk_size());
    std::vector<std::vector<std::int32_t>> fed, added(lengths.size());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      fed.push_back(prompt_of(lengths[i], i));
      decoder.begin(*cache.take(most), {{.temperature = 0}, count, {}});
    }
    std::vector<std::int64_t> done(lengths.size());
    const auto is_over = [&](const auto& each) { return std::ssize(each) == count; };
    for (std::size_t step = 1; !std::all_of(added.begin(), added.end(), is_over); ++step) {
      std::vector<DecodeRow> rows;
      std::vector<std::size_t> answered;
      for (std::size_t i = 0; i < std::min(step, lengths.size()); ++i) {
        if (static_cast<std::int64_t>(added[i].size()) == count) continue;
        const std::int64_t chunk = model.stage().chunk_size();
        std::int64_t piece = std::min<std::int64_t>(3, std::ssize(fed[i]) - done[i]);
        if (chunk > 0) piece = std::min(piece, chunk - done[i] % chunk);
        for (; piece > 0; --piece, ++done[i])
          rows.push_back({fed[i][static_cast<std::size_t>(done[i])], static_cast<int>(i),
                          static_cast<std::int32_t>(done[i]), done[i] + 1 == std::ssize(fed[i])});
        if (rows.back().answer) answered.push_back(i);
      }
      decoder.post(rows);
      const auto drawn = decoder.await();
      for (std::size_t at = 0; at < answered.size(); ++at) {
        added[answered[at]].push_back(drawn[at].token);
        fed[answered[at]].push_back(drawn[at].token);
      }
    }
    return added;
  }

  static void expect_equal_to_alone(const Config& config) {
    TestModel model(config, {.device = GetParam()});
    tiny::fill(model, 3);
    const std::vector<std::int64_t> lengths{1, 7, 3, 12, 4};

    const auto continued = together(model, lengths, 9);

    for (std::size_t i = 0; i < lengths.size(); ++i)
      EXPECT_EQ(continued[i], continue_greedily(model, prompt_of(lengths[i], i), 9)) << i;
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, Batches, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

TEST_P(Batches, continue_each_sequence_as_alone_past_chunks) {
  expect_equal_to_alone(tiny::config());
}
TEST_P(Batches, continue_each_sequence_as_alone_without_chunks) {
  expect_equal_to_alone(tiny::config({"chunk_size=0", "qk_norm=true", "top_k=2"}));
}

TEST_P(Batches, a_step_that_goes_on_draws_what_one_from_the_host_does) {
  TestModel model(tiny::config(), {.device = GetParam()});
  tiny::fill(model, 3);
  const std::vector<std::int32_t> prompt = prompt_of(1, 0), expected = continue_greedily(model, prompt, 6);
  const DecodePlan plan = decode_plan(model, 3, 8, 4);
  Decoder decoder(model.device(), model.stage(), plan);
  CacheSlots cache(plan.cache, model.stage().chunk_size());
  for (const std::int64_t most : {6, 2, 6}) decoder.begin(*cache.take(8), {{.temperature = 0}, most, {}});
  std::vector<std::vector<std::int32_t>> drawn(3);

  const DecodeRow rows[] = {{prompt[0], 0, 0, true}, {prompt[0], 1, 0, true}, {prompt[0], 2, 0, true}};
  decoder.post(rows);
  for (int step = 0; step < 6; ++step) {
    if (step < 5) decoder.post_again();  // before the draws of the last one are seen
    const auto tokens = decoder.await();
    for (std::size_t row = 0; row < 3; ++row) drawn[row].push_back(tokens[row].token);
  }

  EXPECT_EQ(drawn[0], expected);
  EXPECT_EQ(drawn[2], expected);
  EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + 2, drawn[1].begin()));
}

TEST(DecoderSteps, ArePaddedToFewSizes) {
  const std::vector<std::int64_t> rows{1, 8, 9, 12, 13, 17, 25, 33, 250};
  std::vector<std::int64_t> padded;
  for (const std::int64_t count : rows) padded.push_back(padded_rows(count, 250));
  EXPECT_EQ(padded, (std::vector<std::int64_t>{1, 8, 12, 12, 16, 24, 32, 48, 250}));
}

TEST(DecoderSteps, OfMoreRowsThanPlannedAreRefused) {
  TestModel model(tiny::config());
  tiny::fill(model, 1);
  Decoder decoder(model.device(), model.stage(), decode_plan(model, 1, 4, 1));
  const DecodeRow rows[] = {{1, 0, 0, false}, {1, 0, 1, true}};
  EXPECT_EQ(message_of([&] { decoder.post(rows); }), "a step of 2 rows (planned for 1 to 1)");
}

TEST(DecoderMemory, IsWhatThePlanSays) {
  TestModel model(tiny::config());
  const auto bytes = [&](std::int64_t slots, std::int64_t positions) {
    return Decoder::bytes(model.device(), model.stage(), decode_plan(model, slots, positions, 4));
  };
  const std::size_t position = 2 * 2 * 4 * sizeof(float);  // keys and values of two heads of four
  // One of the four layers sees whole sequences. Tables of pages grow too.
  EXPECT_NEAR(static_cast<double>(bytes(4, 4096) - bytes(4, 2048)), 4 * 2048 * position + 4 * 512 * 4, 256);
}

}  // namespace
}  // namespace caravan::testing
