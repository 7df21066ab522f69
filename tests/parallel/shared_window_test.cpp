#include <gmock/gmock.h>

#include <cstring>
#include <thread>

#include "caravan/error.hpp"
#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"
#include "tests/support/message_of.hpp"

// Memory that the ranks of one host have in common.
namespace caravan {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

constexpr double kTimeout = 60;

class Windows : public ::testing::Test {
 protected:
  std::uint64_t* numbers(const PeerWindow& window, int of) const {
    return reinterpret_cast<std::uint64_t*>(window.part(of));
  }
  const std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
  const int rank_ = world_->rank(), size_ = world_->size();
};

TEST_F(Windows, StartWithZerosAndAreAsLargeAsAsked) {
  EXPECT_EQ(world_->why_no_window(), "");
  const auto window = world_->open_window(1000, kTimeout);
  EXPECT_EQ(window->rank(), rank_);
  EXPECT_EQ(window->size(), size_);
  EXPECT_GE(window->bytes(), 1000u);
  for (int of = 0; of < size_; ++of) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(window->part(of)) % 64, 0u);
    for (std::size_t at = 0; at < window->bytes(); ++at) ASSERT_EQ(window->part(of)[at], std::byte{0});
  }
}

/// Every rank writes into every part, and each reads what the last round brought before the next may write.
TEST_F(Windows, ShowWhatOthersWroteBeforeAMeeting) {
  const auto window = world_->open_window(sizeof(std::uint64_t) * static_cast<std::size_t>(size_), kTimeout);
  for (std::uint64_t round = 1; round <= 2000; ++round) {
    for (int of = 0; of < size_; ++of)
      numbers(*window, of)[rank_] = 1000 * round + static_cast<std::uint64_t>(rank_);
    window->meet();
    for (int from = 0; from < size_; ++from)
      ASSERT_EQ(numbers(*window, rank_)[from], 1000 * round + static_cast<std::uint64_t>(from)) << round;
    window->meet();
  }
}

TEST_F(Windows, LetOtherMessagesThroughWhileTheyWait) {
  const auto window = world_->open_window(64, kTimeout);
  constexpr std::int64_t kCount = 4'000'000;  // beyond what is sent without the receiver
  std::vector<float> sent = filled<float>(kCount, rank_), received(sent.size());
  const int next = (rank_ + 1) % size_, before = (rank_ + size_ - 1) % size_;
  Ticket out = world_->post_send(view_of(sent), next, 1);
  // The last rank receives before it comes to the meeting where the first one waits already.
  if (rank_ == size_ - 1) {
    Ticket in = world_->post_recv(view_of(received), before, 1);
    world_->wait(in);
  }
  window->meet();
  if (rank_ != size_ - 1) {
    Ticket in = world_->post_recv(view_of(received), before, 1);
    world_->wait(in);
  }
  world_->wait(out);
  EXPECT_EQ(received, filled<float>(kCount, before));
}

TEST_F(Windows, NameWhoDoesNotCome) {
  const auto window = world_->open_window(64, 0.3);
  if (rank_ == size_ - 1) std::this_thread::sleep_for(std::chrono::seconds(2));
  const std::string message = message_of<CommError>([&] { window->meet(); });
  if (rank_ == size_ - 1) {
    EXPECT_EQ(message, "");  // the others had come
  } else {
    EXPECT_THAT(message, HasSubstr("waits for rank " + std::to_string(size_ - 1) +
                                   " at meeting 1 of group 'world' (0.3 s are over)"));
  }
}

TEST_F(Windows, OfAPartOfTheRanksNameThemByTheirNumbersInTheWorld) {
  if (size_ < 3) GTEST_SKIP() << "needs a group that does not begin with rank 0";
  const auto part = world_->split(rank_ == 0 ? 0 : 1, rank_, "part");
  if (rank_ == 0) return;
  const auto window = part->open_window(64, 0.3);
  if (rank_ == 2) std::this_thread::sleep_for(std::chrono::seconds(2));
  const std::string message = message_of<CommError>([&] { window->meet(); });
  if (rank_ == 2) {
    EXPECT_EQ(message, "");
  } else {
    EXPECT_THAT(message, HasSubstr("rank 1 waits for rank 2 at meeting 1 of group 'part'"));
  }
}

TEST_F(Windows, ThatDoNotFitTheHostAreRefusedBeforeAnybodyTouchesThem) {
  EXPECT_THAT(message_of<CommError>([&] { (void)world_->open_window(std::size_t{1} << 45, kTimeout); }),
              HasSubstr("are free in /dev/shm"));
}

}  // namespace
}  // namespace caravan
