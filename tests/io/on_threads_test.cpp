#include "io/files/on_threads.hpp"

#include <gmock/gmock.h>
#include <sched.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::Each;

TEST(OnThreads, EveryWorkIsDoneOnceOnAnyNumberOfThreads) {
  for (const int threads : {-1, 1, 2, 7, 200}) {
    std::vector<int> done(100);
    io::on_threads(done.size(), threads, [&](std::size_t index) { ++done[index]; });
    EXPECT_THAT(done, Each(1)) << threads;
  }
  io::on_threads(0, 4, [](std::size_t) { FAIL() << "there is nothing to do"; });
}

TEST(OnThreads, WorksRunBesideEachOther) {
  std::latch all(3);  // none would return if one had to end before the next begins
  io::on_threads(3, 3, [&](std::size_t) { all.arrive_and_wait(); });
}

TEST(OnThreads, TheCallerIsOneOfThem) {
  const std::thread::id caller = std::this_thread::get_id();
  io::on_threads(3, 1, [&](std::size_t) { EXPECT_EQ(std::this_thread::get_id(), caller); });
}

TEST(OnThreads, AFailureIsThrownAndBeginsNoFurtherWork) {
  std::atomic<int> begun{0};
  const auto work = [&](std::size_t index) {
    ++begun;
    if (index == 3) throw std::runtime_error("the fourth");
  };
  EXPECT_EQ(message_of<std::runtime_error>([&] { io::on_threads(1'000'000, 1, work); }), "the fourth");
  EXPECT_EQ(begun, 4);
  EXPECT_EQ(message_of<std::runtime_error>([&] { io::on_threads(1'000'000, 4, work); }), "the fourth");
  EXPECT_LT(begun, 1'000'000);
}

TEST(OnThreads, WhoeverIsBoundToAProcessorGetsOneThread) {
  EXPECT_GE(io::threads_for_bytes(), 1);
  EXPECT_EQ(io::threads_for_bytes(1'000'000), 1);
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  const int threads = io::threads_for_bytes();
  ASSERT_EQ(::sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(threads, 1);
}

}  // namespace
}  // namespace caravan::test
