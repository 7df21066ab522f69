#include <gmock/gmock.h>

#include <chrono>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/error.hpp"
#include "caravan/ops.hpp"
#include "tests/device/cuda/gpu_ranks.hpp"
#include "tests/support/message_of.hpp"

// Exchanges of the device cuda over NCCL.
namespace caravan {
namespace {

using testing::GpuWindows;
using ::testing::HasSubstr;
using testing::message_of;
using testing::NcclBackend;

INSTANTIATE_TYPED_TEST_SUITE_P(OnTheShardLane, TensorExchanges, NcclBackend<Lane::shard>);
INSTANTIATE_TYPED_TEST_SUITE_P(OnThePipelineLane, TensorExchanges, NcclBackend<Lane::pipeline>);
INSTANTIATE_TYPED_TEST_SUITE_P(OnTheComputeLane, TensorExchanges, NcclBackend<Lane::compute>);

using Nccl = TensorExchanges<NcclBackend<Lane::shard>>;

/// Where posting waited, each round would take as long as the copies before it.
TEST_F(Nccl, PostingAndWaitingDoNotHoldUpTheHost) {
  constexpr std::int64_t kCount = 1 << 26;
  const TensorView a = room(kCount), b = room(kCount);
  group().all_reduce(a, ReduceOp::max);
  device().synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int copy = 0; copy < 200; ++copy) device().copy(Lane::compute, b.data, a.data, a.bytes());
  Ticket ticket = group().post_all_reduce(b, ReduceOp::max);
  group().wait(ticket);
  const auto posted = std::chrono::steady_clock::now();
  device().synchronize();
  EXPECT_LT(posted - start, (std::chrono::steady_clock::now() - start) / 2);
}

TEST_F(Nccl, RefusesWhatItCannotSend) {
  const TensorView rows = room(4 * size());
  EXPECT_THAT(message_of<CommError>([&] { (void)group().post_send(rows, rank(), 0); }),
              HasSubstr("talks to rank"));
  EXPECT_THAT(message_of<CommError>([&] { (void)group().post_broadcast(rows, size()); }),
              HasSubstr("broadcast on group 'world': from rank"));
  EXPECT_THAT(message_of<CommError>([&] { (void)group().post_all_to_all(rows, rows); }),
              HasSubstr("in place"));
}

class Windows : public GpuWindows {
 protected:
  /// This rank's number of `round`, at its place in the part of every rank.
  void write(const PeerWindow& window, int round) {
    for (int to = 0; to < size(); ++to) {
      const float number = static_cast<float>(100 * round + 10 * rank() + to);
      device().copy_from_host(Lane::compute,
                              window.part(to) + sizeof number * static_cast<std::size_t>(rank()), &number,
                              sizeof number);
    }
  }
};

TEST_F(Windows, ShowWhatOthersWroteBeforeAMeeting) {
  const auto window = group().open_window(sizeof(float) * static_cast<std::size_t>(size()), 60);
  std::vector<std::vector<float>> seen(50, std::vector<float>(static_cast<std::size_t>(size())));
  for (int round = 0; round < 50; ++round) {
    write(*window, round);
    window->meet();
    auto& numbers = seen[static_cast<std::size_t>(round)];
    device().copy_to_host(Lane::compute, numbers.data(), window->part(rank()),
                          numbers.size() * sizeof(float));
    window->meet();
  }
  device().synchronize();
  for (int round = 0; round < 50; ++round)
    for (int from = 0; from < size(); ++from)
      ASSERT_EQ(seen[static_cast<std::size_t>(round)][static_cast<std::size_t>(from)],
                static_cast<float>(100 * round + 10 * from + rank()))
          << round;
}

/// Operators meet in place of the window: each rank pushes rows of its number to all, some pages long, and
/// takes what came from others, whatever its size without parts.
TEST_F(Windows, MeetWithinOperators) {
  for (const std::int64_t rows : {1, 40, 3000}) {
    constexpr std::int64_t kWidth = 1000;
    const std::int64_t ranks = size(), all = ranks * rows;
    const auto window = group().open_window(sizeof(float) * static_cast<std::size_t>(all * kWidth), 60);
    Arena arena(device(), 3 * sizeof(float) * static_cast<std::size_t>(all * (kWidth + 4)), "rows");
    const TensorView sent = arena.take(DType::f32, {rows, kWidth}),
                     got = arena.take(DType::f32, {all, kWidth}),
                     landed(window->part(rank()), DType::f32, {all, kWidth});
    std::vector<std::int32_t> choice_of, to_rank, to_row, from_rank, own_row;
    for (std::int64_t at = 0; at < all; ++at) {
      choice_of.push_back(static_cast<std::int32_t>(at % rows));
      to_rank.push_back(static_cast<std::int32_t>(at / rows));
      to_row.push_back(static_cast<std::int32_t>(rank() * rows + at % rows));
      from_rank.push_back(static_cast<std::int32_t>(at / rows));
      own_row.push_back(static_cast<std::int32_t>(at));
    }
    const auto upload = [&](const std::vector<std::int32_t>& from) {
      const TensorView to = arena.take(DType::i32, {all});
      device().copy_from_host(Lane::compute, to.data, from.data(), to.bytes());
      return to;
    };
    const TensorView choices = upload(choice_of), ranks_of = upload(to_rank), places = upload(to_row),
                     senders = upload(from_rank), same = upload(own_row);
    std::vector<std::byte*> there, here(static_cast<std::size_t>(ranks), got.as<std::byte>());
    for (int to = 0; to < size(); ++to) there.push_back(window->part(to));
    there[static_cast<std::size_t>(rank())] = got.as<std::byte>();
    here[static_cast<std::size_t>(rank())] = nullptr;
    for (int round = 0; round < 20; ++round) {
      const auto value = [&](int from) { return static_cast<float>(100 * round + from + 1); };
      std::vector<float> numbers(static_cast<std::size_t>(rows * kWidth), value(rank()));
      device().copy_from_host(Lane::compute, sent.data, numbers.data(), sent.bytes());
      device().ops().exchange_rows(
          {{.rows = sent,
            .choice_of = choices,
            .to_rank = ranks_of,
            .to_row = places,
            .regions = there,
            .region_rows = all,
            .rank = rank(),
            .comes_to = window->next_meeting()},
           {.rows = landed, .to_rank = senders, .to_row = same, .regions = here, .region_rows = all}});
      window->meet();  // before the next round is written
      std::vector<float> seen(static_cast<std::size_t>(all * kWidth));
      device().copy_to_host(Lane::compute, seen.data(), got.data, got.bytes());
      device().synchronize();
      for (std::int64_t at = 0; at < all * kWidth; ++at)
        ASSERT_EQ(seen[static_cast<std::size_t>(at)], value(static_cast<int>(at / (rows * kWidth))))
            << rows << " rows, round " << round << ", number " << at;
    }
  }
}

/// The last test of this program: its GPU does not wait for anything afterwards.
TEST_F(Windows, NameWhoDoesNotComeAndWaitForNothingMore) {
  auto window = group().open_window(64, 0.5);
  if (rank() != size() - 1) {
    for (int meeting = 0; meeting < 20; ++meeting) window->meet();
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(message_of<CommError>([&] { device().synchronize(); }),
                HasSubstr("waits for rank " + std::to_string(size() - 1)));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  }
  group().barrier();
  (void)window.release();  // its end is a meeting of hosts, to which those that gave up do not come
}

}  // namespace
}  // namespace caravan
