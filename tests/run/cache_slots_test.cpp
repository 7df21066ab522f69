#include <gtest/gtest.h>

#include <random>
#include <set>

#include "caravan/error.hpp"
#include "core/run/cache_slots.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

TEST(PagePool, HandsOutEachPageOnce) {
  PagePool pool(4);
  const auto first = pool.take(3), second = pool.take(1);
  EXPECT_EQ(first, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(second, (std::vector<std::int32_t>{3}));
  EXPECT_EQ(pool.free(), 0);
}

TEST(PagePool, TakesBackWhatItGave) {
  PagePool pool(3);
  const auto pages = pool.take(3);
  pool.give_back(std::span(pages).subspan(1));
  EXPECT_EQ(pool.free(), 2);
  EXPECT_EQ(pool.take(2), (std::vector<std::int32_t>{1, 2}));
}

TEST(PagePool, RefusesWhatCannotBe) {
  PagePool pool(2);
  EXPECT_EQ(message_of([&] { pool.take(3); }), "3 pages wanted (2 of 2 are free)");
  const std::vector<std::int32_t> strange{2}, free{0};
  EXPECT_EQ(message_of([&] { pool.give_back(strange); }), "page 2 comes back (not one of 2 that is taken)");
  EXPECT_EQ(message_of([&] { pool.give_back(free); }), "page 0 comes back (not one of 2 that is taken)");
}

TEST(CacheSlots, ASequenceTakesItsPagesAndOneChunk) {
  CacheSlots slots({2, 100, 16, 14, 4}, 32);
  const auto slot = slots.take(100);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->pages.size(), 7u);
  EXPECT_EQ(slot->chunk_pages.size(), 2u);
}

TEST(CacheSlots, GivesNothingWhereSlotsOrPagesLack) {
  CacheSlots slots({2, 64, 16, 5, 0}, 0);
  const auto first = slots.take(64);
  ASSERT_TRUE(first);
  EXPECT_FALSE(slots.take(32));
  EXPECT_TRUE(slots.take(16));
  EXPECT_FALSE(slots.take(1));
  slots.give_back(*first);
  EXPECT_TRUE(slots.has_room(64));
}

TEST(CacheSlots, KnowsWhatCouldNeverFit) {
  const CacheSlots slots({2, 64, 16, 3, 0}, 0);
  EXPECT_TRUE(slots.could_hold(48));
  EXPECT_FALSE(slots.could_hold(49));
  EXPECT_FALSE(CacheSlots({1, 16, 16, 8, 0}, 0).could_hold(17));
}

TEST(CacheSlots, ManySequencesNeverShareAPage) {
  CacheSlots slots({8, 200, 16, 40, 16}, 32);
  std::mt19937 draw(7);
  std::vector<CacheSlots::Slot> taken;
  for (int i = 0; i < 5000; ++i) {
    if (!taken.empty() && draw() % 3 == 0) {
      const std::size_t which = draw() % taken.size();
      slots.give_back(taken[which]);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (auto slot = slots.take(1 + draw() % 200)) {
      taken.push_back(*slot);
    }
    std::set<std::int32_t> pages, numbers;
    std::size_t count = 0;
    for (const auto& each : taken) {
      pages.insert(each.pages.begin(), each.pages.end());
      numbers.insert(each.slot);
      count += each.pages.size();
    }
    ASSERT_EQ(pages.size(), count);
    ASSERT_EQ(numbers.size(), taken.size());
  }
}

}  // namespace
}  // namespace caravan::testing
