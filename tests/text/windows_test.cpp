#include "io/data/windows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "caravan/error.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::io {
namespace {

using ::testing::ElementsAre;

struct Read {
  std::vector<std::int32_t> tokens, labels, documents;
};

Read read(DataSource& source, std::int64_t index) {
  const auto length = static_cast<std::size_t>(source.sequence_length());
  Read out{std::vector<std::int32_t>(length), std::vector<std::int32_t>(length),
           std::vector<std::int32_t>(source.has_documents() ? length : 0)};
  source.read(index, {out.tokens, out.labels, out.documents});
  return out;
}

/// Tokens 0, 1, 2, …, documents at `starts`.
std::unique_ptr<TokenStream> counting(std::int32_t size, std::vector<std::int64_t> starts = {0}) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(size));
  std::iota(tokens.begin(), tokens.end(), 0);
  return std::make_unique<MemoryTokens>(std::move(tokens), std::move(starts), size);
}

TEST(Permutation, VisitsEveryElementOnceInEveryPass) {
  for (std::uint64_t size : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 1000u}) {
    const Permutation order(size, {5, 1});
    for (std::uint64_t epoch : {0u, 1u, 2u}) {
      std::set<std::uint64_t> seen;
      for (std::uint64_t i = 0; i < size; ++i) seen.insert(order.at(i, epoch));
      ASSERT_EQ(seen.size(), size);
      ASSERT_LT(*seen.rbegin(), size);
    }
  }
}

TEST(Permutation, DiffersBySeedAndPass) {
  const auto row = [](std::uint64_t seed, std::uint64_t epoch) {
    const Permutation order(1000, {seed, 1});
    std::vector<std::uint64_t> places(1000);
    for (std::uint64_t i = 0; i < 1000; ++i) places[i] = order.at(i, epoch);
    return places;
  };
  EXPECT_EQ(row(1, 0), row(1, 0));
  EXPECT_NE(row(1, 0), row(2, 0));
  EXPECT_NE(row(1, 0), row(1, 1));
}

TEST(Permutation, LeavesFewElementsInPlace) {
  const Permutation order(10'000, {9, 1});
  int kept = 0, ascending = 0;
  for (std::uint64_t i = 0; i < 9'999; ++i) {
    kept += order.at(i, 0) == i;
    ascending += order.at(i, 0) < order.at(i + 1, 0);
  }
  EXPECT_LT(kept, 10) << "one is expected";
  EXPECT_NEAR(ascending, 5000, 200);
}

TEST(Windows, AreSPlusOneTokensWithoutOverlap) {
  WindowSource source(counting(11), {.sequence_length = 3});

  ASSERT_EQ(source.samples(), 2);
  EXPECT_THAT(read(source, 0).tokens, ElementsAre(0, 1, 2));
  EXPECT_THAT(read(source, 0).labels, ElementsAre(1, 2, 3));
  EXPECT_THAT(read(source, 1).tokens, ElementsAre(4, 5, 6));
  EXPECT_THAT(read(source, 1).labels, ElementsAre(5, 6, 7));
}

TEST(Windows, BeginTheNextPassAfterTheLastSample) {
  WindowSource source(counting(8), {.sequence_length = 3});

  EXPECT_EQ(read(source, 2).tokens, read(source, 0).tokens);
  EXPECT_EQ(read(source, 5).tokens, read(source, 1).tokens);
}

TEST(Windows, AreShuffledAnewInEveryPassAndLoseNone) {
  WindowSource source(counting(400), {.sequence_length = 3, .order = Order::shuffled, .seed = 4});
  std::vector<std::int32_t> first_pass, second_pass;

  for (std::int64_t i = 0; i < 100; ++i) first_pass.push_back(read(source, i).tokens[0]);
  for (std::int64_t i = 100; i < 200; ++i) second_pass.push_back(read(source, i).tokens[0]);

  EXPECT_NE(first_pass, second_pass);
  EXPECT_EQ(std::set<std::int32_t>(first_pass.begin(), first_pass.end()).size(), 100u);
  EXPECT_THAT(second_pass, ::testing::UnorderedElementsAreArray(first_pass));
}

TEST(Windows, HoldTheTailOutForValidation) {
  const WindowOptions train{.sequence_length = 4, .validation_fraction = 0.25};
  WindowOptions validation = train;
  validation.split = Split::validation;
  WindowSource seen(counting(100), train), unseen(counting(100), validation);

  EXPECT_EQ(seen.samples(), 15);
  EXPECT_EQ(unseen.samples(), 5);
  EXPECT_THAT(read(seen, 14).labels, ElementsAre(71, 72, 73, 74));
  EXPECT_THAT(read(unseen, 0).tokens, ElementsAre(75, 76, 77, 78));
}

TEST(Windows, NumberTheDocumentsOfAWindow) {
  WindowSource source(counting(14, {0, 2, 6, 7}), {.sequence_length = 6, .document_mask = true});

  ASSERT_TRUE(source.has_documents());
  EXPECT_THAT(read(source, 0).documents, ElementsAre(0, 0, 1, 1, 1, 1));
  EXPECT_THAT(read(source, 0).labels, ElementsAre(1, 2, 3, 4, 5, 6))
      << "borders are labels unless told otherwise";
  EXPECT_THAT(read(source, 1).documents, ElementsAre(0, 0, 0, 0, 0, 0))
      << "the window begins the document at 7";
}

TEST(Windows, IgnoreTheLabelsThatBeginADocument) {
  WindowSource source(counting(14, {0, 2, 6, 7}), {.sequence_length = 6, .ignore_border_labels = true});

  EXPECT_FALSE(source.has_documents());
  EXPECT_THAT(read(source, 0).labels, ElementsAre(1, -100, 3, 4, 5, -100));
  EXPECT_THAT(read(source, 1).labels, ElementsAre(8, 9, 10, 11, 12, 13));
}

TEST(Windows, NeedEnoughTokensForOne) {
  EXPECT_EQ(test::message_of<ConfigError>([] { WindowSource(counting(8), {.sequence_length = 8}); }),
            "8 of 8 tokens with validation_fraction=0 (one sample needs sequence_length + 1 = 9). More text, "
            "another "
            "validation_fraction, or shorter sequences?");
  EXPECT_NE(test::message_of<ConfigError>(
                [] { WindowSource(counting(8), {.sequence_length = 2, .split = Split::validation}); }),
            "");
}

}  // namespace
}  // namespace caravan::io
