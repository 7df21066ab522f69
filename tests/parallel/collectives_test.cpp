#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"

namespace caravan {
namespace {

template <class T>
class Collectives : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> world = parallel::make_world_communicator();
  const int rank = world->rank();
  const int size = world->size();
};
using Types = ::testing::Types<float, double, std::int32_t, std::int64_t, std::uint8_t>;
TYPED_TEST_SUITE(Collectives, Types);

template <class T>
T reduce(T a, T b, ReduceOp op) {
  if (op == ReduceOp::sum) return static_cast<T>(a + b);
  return op == ReduceOp::min ? std::min(a, b) : std::max(a, b);
}

/// What an all-reduce of filled<T>(count, r, stream) gives.
template <class T>
std::vector<T> reduced(std::int64_t count, int size, ReduceOp op) {
  std::vector<T> expected = filled<T>(count, 0);
  for (int rank = 1; rank < size; ++rank) {
    const std::vector<T> other = filled<T>(count, rank);
    for (std::size_t i = 0; i < other.size(); ++i) expected[i] = reduce(expected[i], other[i], op);
  }
  return expected;
}

TYPED_TEST(Collectives, AllReduceIsTheElementwiseReduction) {
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::min, ReduceOp::max}) {
    for (std::int64_t count : {0, 1, 5, 1000, 270'000}) {
      auto data = filled<TypeParam>(count, this->rank);

      this->world->all_reduce(view_of(data), op);

      EXPECT_EQ(data, reduced<TypeParam>(count, this->size, op))
          << count << " elements, op " << static_cast<int>(op);
    }
  }
}

TYPED_TEST(Collectives, ReduceScatterGivesEachRankItsBlockOfTheSum) {
  for (std::int64_t block : {0, 1, 7, 50'000}) {
    auto in = filled<TypeParam>(block * this->size, this->rank);
    std::vector<TypeParam> out(static_cast<std::size_t>(block));
    const auto sum = reduced<TypeParam>(block * this->size, this->size, ReduceOp::sum);

    Ticket ticket = this->world->post_reduce_scatter(view_of(in), view_of(out), ReduceOp::sum);
    this->world->wait(ticket);

    EXPECT_TRUE(std::equal(out.begin(), out.end(), sum.begin() + this->rank * block)) << "block " << block;
  }
}

/// Sums of numbers of very different size depend on their order. `scale` tells two exchanges apart.
template <class T>
std::vector<T> uneven_numbers(std::int64_t count, int from, int scale) {
  std::vector<T> numbers;
  for (std::int64_t at = 0; at < count; ++at) {
    const std::int64_t large = from % 2 == 0 ? 1 : 10'000'019,
                       small = (at + from) % 13;  // whose sums fit a byte
    const std::int64_t number = sizeof(T) == 1 ? small : ((at * 31 + from * 17) % 101 - 50) * large;
    numbers.push_back(static_cast<T>(static_cast<T>(number * scale) / T{3}));
  }
  return numbers;
}

TYPED_TEST(Collectives, ReduceScatterAddsInTheOrderOfRanks) {
  constexpr std::int64_t block = 1001;
  std::vector<std::vector<TypeParam>> in, out(2, std::vector<TypeParam>(block));
  for (int scale : {1, 2}) in.push_back(uneven_numbers<TypeParam>(block * this->size, this->rank, scale));

  Ticket one = this->world->post_reduce_scatter(view_of(in[0]), view_of(out[0]), ReduceOp::sum);
  Ticket other = this->world->post_reduce_scatter(view_of(in[1]), view_of(out[1]), ReduceOp::sum);
  while (!this->world->test(other)) {
  }
  this->world->wait(other);
  this->world->wait(one);

  for (int scale : {1, 2}) {
    auto sum = uneven_numbers<TypeParam>(block * this->size, 0, scale);
    for (int from = 1; from < this->size; ++from) {
      const auto more = uneven_numbers<TypeParam>(block * this->size, from, scale);
      for (std::size_t at = 0; at < sum.size(); ++at) sum[at] = static_cast<TypeParam>(sum[at] + more[at]);
    }
    const auto own = sum.begin() + this->rank * block;
    EXPECT_EQ(out[static_cast<std::size_t>(scale - 1)], std::vector<TypeParam>(own, own + block)) << scale;
  }
}

TYPED_TEST(Collectives, ReduceScatterMayWriteOverItsOwnBlock) {
  constexpr std::int64_t block = 33;
  auto in = filled<TypeParam>(block * this->size, this->rank);
  const auto sum = reduced<TypeParam>(block * this->size, this->size, ReduceOp::sum);
  const TensorView own = view_of(in).rows(this->rank * block, (this->rank + 1) * block);

  Ticket ticket = this->world->post_reduce_scatter(view_of(in), own, ReduceOp::sum);
  this->world->wait(ticket);

  EXPECT_TRUE(std::equal(own.as<TypeParam>(), own.as<TypeParam>() + block, sum.begin() + this->rank * block));
}

TYPED_TEST(Collectives, AllGatherPutsTheRanksBlocksInOrder) {
  for (std::int64_t block : {0, 1, 9, 70'000}) {
    auto in = filled<TypeParam>(block, this->rank);
    std::vector<TypeParam> out(static_cast<std::size_t>(block * this->size));

    this->world->all_gather(view_of(in), view_of(out));

    for (int from = 0; from < this->size; ++from) {
      const auto expected = filled<TypeParam>(block, from);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.begin() + from * block))
          << block << " of " << from;
    }
  }
}

TYPED_TEST(Collectives, AllGatherWorksInPlace) {
  constexpr std::int64_t block = 12;
  std::vector<TypeParam> all(static_cast<std::size_t>(block * this->size));
  const auto mine = filled<TypeParam>(block, this->rank);
  std::copy(mine.begin(), mine.end(), all.begin() + this->rank * block);

  this->world->all_gather(view_of(all).rows(this->rank * block, (this->rank + 1) * block), view_of(all));

  for (int from = 0; from < this->size; ++from) {
    const auto expected = filled<TypeParam>(block, from);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), all.begin() + from * block))
        << "block of " << from;
  }
}

TYPED_TEST(Collectives, BroadcastCopiesTheRootsData) {
  for (int root = 0; root < this->size; ++root) {
    auto data = filled<TypeParam>(1001, this->rank);

    this->world->broadcast(view_of(data), root);

    EXPECT_EQ(data, filled<TypeParam>(1001, root)) << "root " << root;
  }
}

TYPED_TEST(Collectives, AllToAllTransposesBlocks) {
  for (std::int64_t block : {0, 1, 6, 40'000}) {
    auto in = filled<TypeParam>(block * this->size, this->rank);
    std::vector<TypeParam> out(in.size());

    Ticket ticket = this->world->post_all_to_all(view_of(in), view_of(out));
    this->world->wait(ticket);

    for (int from = 0; from < this->size; ++from) {
      const auto sent = filled<TypeParam>(block * this->size, from);
      EXPECT_TRUE(std::equal(out.begin() + from * block, out.begin() + (from + 1) * block,
                             sent.begin() + this->rank * block))
          << block << " from " << from;
    }
  }
}

TYPED_TEST(Collectives, AllToAllWorksInPlace) {
  constexpr std::int64_t block = 10;
  auto data = filled<TypeParam>(block * this->size, this->rank);

  Ticket ticket = this->world->post_all_to_all(view_of(data), view_of(data));
  this->world->wait(ticket);

  for (int from = 0; from < this->size; ++from) {
    const auto sent = filled<TypeParam>(block * this->size, from);
    EXPECT_TRUE(std::equal(data.begin() + from * block, data.begin() + (from + 1) * block,
                           sent.begin() + this->rank * block))
        << "from " << from;
  }
}

/// Rows that `from` sends to `to` in round `round`: about half of them are none.
std::int64_t rows_between(int from, int to, int round) {
  const float draw = uniform({11, static_cast<std::uint64_t>(round)}, static_cast<std::uint64_t>(from),
                             static_cast<std::uint64_t>(to));
  return draw < 0.5f ? 0 : static_cast<std::int64_t>(draw * 20.0f);
}

std::int64_t first_row(int from, int to, int round) {
  std::int64_t first = 0;
  for (int before = 0; before < to; ++before) first += rows_between(from, before, round);
  return first;
}

template <class T>
void check_all_to_all_v(Communicator& world, int round) {
  constexpr std::int64_t width = 3;
  const int rank = world.rank(), size = world.size();
  std::vector<std::int64_t> to(static_cast<std::size_t>(size)), from(to);
  for (std::size_t r = 0; r < to.size(); ++r) {
    to[r] = rows_between(rank, static_cast<int>(r), round);
    from[r] = rows_between(static_cast<int>(r), rank, round);
  }
  auto in = filled<T>(std::accumulate(to.begin(), to.end(), std::int64_t{0}) * width, rank);
  std::vector<T> out(
      static_cast<std::size_t>(std::accumulate(from.begin(), from.end(), std::int64_t{0}) * width));

  Ticket ticket =
      world.post_all_to_all_v(view_of(in, {static_cast<std::int64_t>(in.size()) / width, width}), to,
                              view_of(out, {static_cast<std::int64_t>(out.size()) / width, width}), from);
  world.wait(ticket);

  auto received = out.begin();
  for (int r = 0; r < size; ++r) {
    const auto sent = filled<T>(first_row(r, size, round) * width, r);
    const auto begin = sent.begin() + first_row(r, rank, round) * width;
    const auto end = begin + rows_between(r, rank, round) * width;
    EXPECT_TRUE(std::equal(begin, end, received)) << "round " << round << " from rank " << r;
    received += end - begin;
  }
}

TYPED_TEST(Collectives, AllToAllVMovesRowsWithZeroCounts) {
  for (int round = 0; round < 20; ++round) check_all_to_all_v<TypeParam>(*this->world, round);
}

/// One rank keeps a row, the others have nothing to do: what comes after still meets.
TYPED_TEST(Collectives, AllToAllVOfWhichMostRanksHaveNothingKeepsTheOrder) {
  const auto ranks = static_cast<std::size_t>(this->size);
  std::vector<std::int64_t> none(ranks, 0), kept(ranks, 0);
  kept[0] = 1;
  const auto& counts = this->rank == 0 ? kept : none;
  auto in = filled<TypeParam>(counts[0] * 3, 1);
  std::vector<TypeParam> out(in.size());
  const auto view = [&](auto& of) { return view_of(of, {counts[0], 3}); };
  for (int round = 0; round < 3; ++round) {
    Ticket ticket = this->world->post_all_to_all_v(view(in), counts, view(out), counts);
    this->world->wait(ticket);
    EXPECT_EQ(out, in);
    check_all_to_all_v<TypeParam>(*this->world, round);
  }
}

TYPED_TEST(Collectives, SplitMakesGroupsOrderedByKey) {
  const int color = this->rank % 2, group_size = (this->size + 1 - color) / 2;

  auto group = this->world->split(color, -this->rank, "half");
  auto data = filled<TypeParam>(4, this->rank);
  group->broadcast(view_of(data), 0);

  EXPECT_EQ(group->size(), group_size);
  EXPECT_EQ(group->rank(), group_size - 1 - this->rank / 2);
  EXPECT_EQ(group->name(), "half");
  EXPECT_EQ(data, filled<TypeParam>(4, (group_size - 1) * 2 + color));
}

TYPED_TEST(Collectives, ManyOperationsMayBeUnderWayAndWaitedInAnyOrder) {
  constexpr int count = 20;
  std::vector<std::vector<TypeParam>> data;
  std::vector<Ticket> tickets;
  for (int i = 0; i < count; ++i) data.push_back(filled<TypeParam>(100 + i, this->rank));

  for (auto& each : data) tickets.push_back(this->world->post_all_reduce(view_of(each), ReduceOp::sum));
  for (int i = count - 1; i >= 0; --i) this->world->wait(tickets[static_cast<std::size_t>(i)]);

  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(data[static_cast<std::size_t>(i)], reduced<TypeParam>(100 + i, this->size, ReduceOp::sum)) << i;
  }
}

using FloatSums = Collectives<float>;

TEST_F(FloatSums, AreTheSameBitsOnEveryRankAndEveryTime) {
  std::vector<float> mine(300'000), first;
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
      mine[i] = static_cast<float>(normal({3, 1}, static_cast<std::uint64_t>(rank), i));
    }
    world->all_reduce(view_of(mine), ReduceOp::sum);
    if (repeat == 0) first = mine;
    EXPECT_EQ(mine, first);
  }

  world->broadcast(view_of(first), 0);
  EXPECT_EQ(mine, first) << "rank " << rank << " differs from rank 0";
}

}  // namespace
}  // namespace caravan
