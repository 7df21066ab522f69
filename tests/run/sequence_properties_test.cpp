#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "tests/run/cached_forward.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/support/message_of.hpp"

// Sequences in pieces and sequences side by side: the cache and the document mask.
namespace caravan::testing {
namespace {

struct Decode {
  std::string device;
  std::int64_t piece;
};

std::vector<Decode> all_pieces() {
  std::vector<Decode> all;
  for (const std::string& device : devices()) {
    for (std::int64_t piece : {std::int64_t{1}, tiny::kChunk - 1, tiny::kChunk, tiny::kChunk + 1})
      all.push_back({device, piece});
  }
  return all;
}

class CachedDecode : public ::testing::TestWithParam<Decode> {
 protected:
  void expect_equal_to_uncached(const Config& config) {
    TestModel model(config, {.device = GetParam().device});
    tiny::fill(model, 23);
    const TestBatch batch = random_batch(1, 3 * tiny::kChunk + 2, tiny::kVocabulary, 4);
    const std::vector<float> whole = evaluate(model, batch).logits;
    for (std::size_t prefix = 1; prefix <= batch.tokens.size(); ++prefix) {
      CachedForward cached(model, batch.length);
      const std::vector<float> logits = cached.feed(std::span(batch.tokens).first(prefix), GetParam().piece);
      for (std::size_t v = 0; v < logits.size(); ++v) {
        ASSERT_NEAR(logits[v], whole[(prefix - 1) * logits.size() + v], 2e-5)
            << "prefix " << prefix << ", token " << v;
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Pieces, CachedDecode, ::testing::ValuesIn(all_pieces()), [](const auto& test) {
  return test.param.device + "_" + std::to_string(test.param.piece);
});

TEST_P(CachedDecode, gives_the_logits_of_the_whole_sequence) {
  expect_equal_to_uncached(tiny::config({"qk_norm=true", "temperature={scale: 0.3, floor: 3}"}));
}
TEST_P(CachedDecode, gives_them_without_chunks) {
  expect_equal_to_uncached(tiny::config({"chunk_size=0", "top_k=2"}));
}
TEST_P(CachedDecode, gives_them_with_sinusoidal_positions) {
  expect_equal_to_uncached(tiny::config({"position=sinusoidal", "chunk_size=0", "nope_interval=0"}));
}
TEST_P(CachedDecode, keeps_a_cache_for_each_pass_of_a_repeated_layer) {
  expect_equal_to_uncached(tiny::config({"repeat_layers=[0, 3]", "dense=gelu"}));
}
TEST_P(CachedDecode, has_neither_dropout_nor_noise) {
  expect_equal_to_uncached(tiny::config({"dropout=0.3", "attention_dropout=0.3", "noisy=true"}));
}

TEST(CachedDecodeErrors, a_piece_that_leaves_its_chunk_is_refused) {
  TestModel model(tiny::config());
  tiny::fill(model, 1);
  CachedForward cached(model, 16);
  const std::vector<std::int32_t> tokens{1, 2, 3, 4, 5};
  EXPECT_EQ(message_of([&] { cached.feed(tokens); }),
            "rows of positions 3 and 4 in one step (not neighbours within a chunk of 4)");
}

TEST(CachedDecodeErrors, more_tokens_than_the_cache_holds_are_refused) {
  TestModel model(tiny::config({"chunk_size=0"}));
  tiny::fill(model, 1);
  CachedForward cached(model, 4);
  const std::vector<std::int32_t> tokens{1, 2, 3};
  cached.feed(tokens);
  EXPECT_THAT(message_of([&] { cached.feed(tokens); }),
              ::testing::HasSubstr("qk_prepare_cached on device 'reference': positions[1] is 4 (a slot has 1 "
                                   "pages of 4)"));
}

TEST(CachedDecodeMemory, chunked_layers_keep_one_chunk) {
  TestModel model(tiny::config());
  auto session = [&](std::int64_t cache_length) {
    const CacheShape cache = cache_for(1, cache_length, tiny::kChunk, tiny::kChunk);
    return StashLayout(model.stage().layers(), {1, 1, Phase::decode, cache}, StashMode::inference,
                       model.stage().width())
        .bytes(StashLayout::session);
  };
  const std::size_t row = 2 * 2 * 4 * sizeof(float);  // keys and values of two heads of four
  EXPECT_EQ(session(1024), (3 * static_cast<std::size_t>(tiny::kChunk) + 1024) * row);
  EXPECT_EQ(session(2048) - session(1024), 1024 * row);
}

class Documents : public ::testing::TestWithParam<std::string> {
 protected:
  /// Two documents, the first `first` tokens long, in one sequence; and each alone.
  void expect_packed_equals_separate(const Config& config, std::int64_t first, std::int64_t second) {
    TestModel model(config, {.device = GetParam()});
    tiny::fill(model, 29);
    TestBatch packed = random_batch(1, first + second, tiny::kVocabulary, 8);
    packed.labels[static_cast<std::size_t>(first) - 1] =
        kIgnoredLabel;  // the next token is another document's
    packed.documents.assign(static_cast<std::size_t>(first), 0);
    packed.documents.resize(static_cast<std::size_t>(first + second), 1);
    const StepScales scales{0, static_cast<float>(1.0 / static_cast<double>(packed.valid())), 1};
    const double together = walk(model, packed, scales);
    const std::vector<float> expected = model.gradients();

    model.parameters().start_gradients(model.device());
    const double apart =
        walk(model, cut(packed, 0, first), scales) + walk(model, cut(packed, first, second), scales);
    EXPECT_NEAR(together, apart, 2e-6 * apart);
    const std::vector<float> gradients = model.gradients();
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(gradients[i], expected[i], 2e-5) << i;
  }

  static double walk(TestModel& model, const TestBatch& batch, const StepScales& scales) {
    return Walker(model, batch.shape(Phase::train), StashMode::fused).run(fused_row(1), batch, scales).loss;
  }
  static TestBatch cut(const TestBatch& from, std::int64_t begin, std::int64_t length) {
    return {1,
            length,
            {from.tokens.begin() + begin, from.tokens.begin() + begin + length},
            {from.labels.begin() + begin, from.labels.begin() + begin + length}};
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, Documents, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

// Positions go on through a packed sequence, and rotation sees differences only.
TEST_P(Documents, packed_are_as_good_as_separate) {
  expect_packed_equals_separate(tiny::config({"chunk_size=0", "qk_norm=true", "top_k=2"}), 5, 7);
}
TEST_P(Documents, packed_at_a_chunk_border_are_as_good_as_separate) {
  expect_packed_equals_separate(tiny::config(), 2 * tiny::kChunk, 6);
}

TEST_P(Documents, the_mask_is_what_makes_the_difference) {
  TestModel model(tiny::config({"chunk_size=0"}), {.device = GetParam()});
  tiny::fill(model, 29);
  TestBatch batch = random_batch(1, 12, tiny::kVocabulary, 8);
  const double open = evaluate(model, batch).loss;
  batch.documents = {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_GT(std::abs(evaluate(model, batch).loss - open), 1e-3);
}

class WrongInput : public ::testing::TestWithParam<std::string> {
 protected:
  std::string refusal(const Config& config, const TestBatch& batch) {
    TestModel model(config, {.device = GetParam()});
    tiny::fill(model, 1);
    return message_of<DeviceError>([&] { differentiate(model, batch); });
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, WrongInput, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

TEST_P(WrongInput, a_token_outside_the_vocabulary_is_refused) {
  TestBatch batch = random_batch(1, 7, tiny::kVocabulary, 1);
  batch.tokens[4] = tiny::kVocabulary;
  EXPECT_NE(refusal(tiny::config(), batch), "");
  batch.tokens[4] = -1;
  EXPECT_NE(refusal(tiny::config(), batch), "");
}

TEST_P(WrongInput, a_label_outside_the_vocabulary_is_refused) {
  TestBatch batch = random_batch(1, 7, tiny::kVocabulary, 1);
  batch.labels[2] = tiny::kVocabulary;
  EXPECT_NE(refusal(tiny::config(), batch), "");
  batch.labels[2] = -1;
  EXPECT_NE(refusal(tiny::config(), batch), "");
}

TEST_P(WrongInput, a_sequence_longer_than_the_positions_is_refused) {
  EXPECT_NE(refusal(tiny::config({"positions=6"}), random_batch(1, 7, tiny::kVocabulary, 1)), "");
  EXPECT_NE(refusal(tiny::config({"positions=6", "position=sinusoidal", "chunk_size=0"}),
                    random_batch(1, 7, tiny::kVocabulary, 1)),
            "");
}

}  // namespace
}  // namespace caravan::testing
