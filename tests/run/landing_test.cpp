#include "plugins/dispatch/deepep/landing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "caravan/config.hpp"
#include "caravan/error.hpp"
#include "caravan/reference_device.hpp"
#include "core/device/reference_device.hpp"
#include "tests/support/idle_communicator.hpp"

// Exchanges take turns at two areas on each rank. Ranks are threads here, one program for all, and each
// thread dawdles where it likes: whoever reads an area finds what was written for that exchange. Ranks meet
// at a barrier, as hosts do, or come to a meeting when they have written and wait for it before they read, as
// operators do.
namespace caravan::deepep {
namespace {

constexpr int kRanks = 3;

enum class Meet { hosts, operators };

/// Memory of threads, with a barrier for meetings of hosts, and numbers for those of operators.
class ThreadWindows {
 public:
  explicit ThreadWindows(Meet who) : meet(who) {}

  void come(int rank, std::uint64_t number) { come_[static_cast<std::size_t>(rank)] = number; }
  void wait_for_all(std::uint64_t number) const {
    for (const auto& come : come_)
      while (come < number) std::this_thread::yield();
  }

  const Meet meet;
  std::barrier<> all{kRanks};
  std::vector<std::vector<std::byte>> parts{kRanks};

  std::unique_ptr<PeerWindow> open(int rank, std::size_t bytes) {
    parts[static_cast<std::size_t>(rank)].assign(bytes, std::byte{0});
    all.arrive_and_wait();
    return std::make_unique<Window>(*this, rank);
  }

 private:
  class Window final : public PeerWindow {
   public:
    Window(ThreadWindows& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return kRanks; }
    std::size_t bytes() const override { return all_.parts[0].size(); }
    std::byte* part(int rank) const override { return all_.parts[static_cast<std::size_t>(rank)].data(); }
    void meet() override {
      if (all_.meet == Meet::hosts) return all_.all.arrive_and_wait();
      all_.come(rank_, ++number_);
      all_.wait_for_all(number_);
    }
    PeerMeeting next_meeting() override {
      return all_.meet == Meet::hosts ? PeerMeeting{} : PeerMeeting{++number_, this};
    }

   private:
    ThreadWindows& all_;
    int rank_;
    std::uint64_t number_ = 0;
  };
  std::array<std::atomic<std::uint64_t>, kRanks> come_{};
};

/// A group of threads that open windows.
class Threads final : public testing::IdleCommunicator {
 public:
  Threads(ThreadWindows& windows, int rank) : IdleCommunicator(rank, kRanks), windows_(windows) {}
  std::unique_ptr<PeerWindow> open_window(std::size_t bytes, double) override {
    return windows_.open(rank(), bytes);
  }

 private:
  ThreadWindows& windows_;
};

/// Begin or end an exchange, of which at most two are under way.
struct Action {
  bool begins = true, ranks_meet = false;
  int exchange = 0;
};

std::vector<Action> program_of(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Action> program;
  std::vector<int> under_way;
  int next = 0;
  while (next < 40 || !under_way.empty()) {
    const bool area_is_free =
        std::none_of(under_way.begin(), under_way.end(), [&](int other) { return other % 2 == next % 2; });
    if (next < 40 && area_is_free && (under_way.empty() || random() % 2 == 0)) {
      program.push_back({true, random() % 2 == 0, next});
      under_way.push_back(next++);
    } else {
      const std::size_t which = random() % under_way.size();
      program.push_back({false, false, under_way[which]});
      under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  return program;
}

std::uint64_t number_of(int exchange, int from, int to) {
  return 1 + static_cast<std::uint64_t>((exchange * kRanks + from) * kRanks + to);
}

/// Numbers that were not those of their exchange.
int run(ThreadWindows& windows, int rank, const std::vector<Action>& program, std::uint32_t seed) {
  Threads threads(windows, rank);
  ReferenceDevice device{Host{}, Config::map()};
  Landing landing(device, threads, 60);
  landing.reserve(64, sizeof(std::uint64_t) * kRanks);
  std::mt19937 random(seed * 31 + static_cast<std::uint32_t>(rank));
  const auto dawdle = [&] {
    if (random() % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
  };
  std::map<int, int> area_of;
  std::map<int, PeerMeeting> meeting_of;
  int wrong = 0;
  for (const Action& action : program) {
    dawdle();
    if (action.begins) {
      const int area = area_of[action.exchange] = landing.begin(action.ranks_meet);
      if (action.ranks_meet) landing.meet();
      const PeerMeeting meeting = meeting_of[action.exchange] = landing.next_meeting();
      const auto there = landing.everywhere(landing.own_rows(area));
      for (int to = 0; to < kRanks; ++to) {
        const std::uint64_t number = number_of(action.exchange, rank, to);
        std::memcpy(there[static_cast<std::size_t>(to)] + sizeof number * static_cast<std::size_t>(rank),
                    &number, sizeof number);
      }
      if (meeting) windows.come(rank, meeting.number);
      continue;
    }
    const int area = area_of.at(action.exchange);
    const PeerMeeting meeting = meeting_of.at(action.exchange);
    landing.meet(meeting);
    if (meeting) windows.wait_for_all(meeting.number);
    dawdle();
    for (int from = 0; from < kRanks; ++from) {
      std::uint64_t number = 0;
      std::memcpy(&number, landing.own_rows(area) + sizeof number * static_cast<std::size_t>(from),
                  sizeof number);
      wrong += number != number_of(action.exchange, from, rank);
    }
    landing.end(area);
  }
  return wrong;
}

TEST(Landing, GivesEveryExchangeWhatWasWrittenForIt) {
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    const std::vector<Action> program = program_of(seed);
    ThreadWindows windows(seed % 2 == 0 ? Meet::hosts : Meet::operators);
    std::array<int, kRanks> wrong{};
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < kRanks; ++rank)
      ranks.emplace_back(
          [&, rank] { wrong[static_cast<std::size_t>(rank)] = run(windows, rank, program, seed); });
    for (std::thread& rank : ranks) rank.join();
    EXPECT_EQ(wrong, (std::array<int, kRanks>{})) << seed;
  }
}

TEST(Landing, HasAreasForTwoExchangesAndMemoryForTheLargest) {
  const auto alone = make_single_communicator();
  ReferenceDevice device{Host{}, Config::map()};
  Landing landing(device, *alone, 60);
  landing.reserve(8, 64);
  const int first = landing.begin(false), second = landing.begin(false);
  EXPECT_NE(landing.own_rows(first), landing.own_rows(second));
  EXPECT_NE(landing.own_rows(first), landing.own_table(first));
  EXPECT_THROW(landing.begin(false), CommError);
  landing.reserve(8, 32);  // it is there already
  EXPECT_THROW(landing.reserve(8, 128), CommError);
  EXPECT_THROW(landing.reserve(16, 64), CommError);
}

}  // namespace
}  // namespace caravan::deepep
