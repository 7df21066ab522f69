#include <gtest/gtest.h>

#include <algorithm>

#include "caravan/bf16.hpp"
#include "parallel/world.hpp"

// MPI has no such numbers: they are added in f32 in the order of ranks, and rounded once.
namespace caravan {
namespace {

using Numbers = std::vector<std::uint16_t>;

class Bf16Sums : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBlock = 1503;  // more than one piece

  Numbers numbers_of(int from) const {
    Numbers numbers;
    for (std::int64_t at = 0; at < kBlock * world->size(); ++at)
      numbers.push_back(to_bf16(static_cast<float>((at * 37 + from * 101) % 211 - 105) / 7));
    return numbers;
  }
  template <class Combine>
  Numbers combined(const Combine& combine) const {
    std::vector<float> all;
    for (int from = 0; from < world->size(); ++from) {
      const Numbers numbers = numbers_of(from);
      if (from == 0) all.assign(numbers.size(), 0);
      for (std::size_t at = 0; at < numbers.size(); ++at)
        all[at] = from == 0 ? from_bf16(numbers[at]) : combine(all[at], from_bf16(numbers[at]));
    }
    Numbers rounded(all.size());
    std::transform(all.begin(), all.end(), rounded.begin(), to_bf16);
    return rounded;
  }

  std::unique_ptr<Communicator> world = parallel::make_world_communicator();
};

TEST_F(Bf16Sums, AreOfEachRanksBlock) {
  const Numbers sum = combined([](float a, float b) { return a + b; });
  Numbers in = numbers_of(world->rank()), out(kBlock);
  Ticket ticket = world->post_reduce_scatter(TensorView(in.data(), DType::bf16, {std::ssize(in)}),
                                             TensorView(out.data(), DType::bf16, {kBlock}), ReduceOp::sum);
  world->wait(ticket);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), sum.begin() + world->rank() * kBlock));
  EXPECT_EQ(in, numbers_of(world->rank()));
}

TEST_F(Bf16Sums, AreOnAllRanks) {
  const auto reduced = [&](ReduceOp op) {
    Numbers all = numbers_of(world->rank());
    world->all_reduce(TensorView(all.data(), DType::bf16, {std::ssize(all)}), op);
    return all;
  };
  EXPECT_EQ(reduced(ReduceOp::sum), combined([](float a, float b) { return a + b; }));
  EXPECT_EQ(reduced(ReduceOp::min), combined([](float a, float b) { return std::min(a, b); }));
  EXPECT_EQ(reduced(ReduceOp::max), combined([](float a, float b) { return std::max(a, b); }));
}

}  // namespace
}  // namespace caravan
