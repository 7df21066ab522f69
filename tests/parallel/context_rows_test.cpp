#include "caravan/context_rows.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "core/device/reference_device.hpp"
#include "parallel/process_mesh.hpp"
#include "parallel/world.hpp"

// Rows of sequences that all ranks of the world divide, whose lengths leave some blocks a token longer. Runs
// on 1 to 4 ranks.
namespace caravan::parallel {
namespace {

constexpr std::int64_t kWidth = 3;

/// Rows in memory of their own.
struct Rows {
  explicit Rows(const Shape& shape) : values(static_cast<std::size_t>(shape.count()), -1), shape_(shape) {}
  TensorView view() { return {values.data(), DType::f32, shape_}; }
  std::vector<float> values;

 private:
  Shape shape_;
};

/// Of every token of the batch, in the order of sequences and positions.
std::vector<float> numbered(std::int64_t tokens, float times = 1) {
  std::vector<float> values;
  for (std::int64_t at = 0; at < tokens * kWidth; ++at) values.push_back(times * static_cast<float>(at + 1));
  return values;
}

class ContextRowsTest : public ::testing::TestWithParam<std::int64_t> {
 protected:
  BatchShape shape(std::int64_t length) { return BatchShape{GetParam(), length}.divided_over(mesh.get()); }
  Shape whole(const BatchShape& shape) const { return {shape.sequences * shape.sequence_length(), kWidth}; }
  /// What this rank's rows are of all, by the token map.
  std::vector<float> own_of(const BatchShape& shape, const std::vector<float>& all) const {
    const TokenMap map = rows.map(shape, world->rank());
    std::vector<float> own;
    for (std::int64_t row = 0; row < shape.tokens(); ++row)
      own.insert(own.end(), all.begin() + map.token(row) * kWidth,
                 all.begin() + (map.token(row) + 1) * kWidth);
    return own;
  }
  std::vector<std::int64_t> lengths() const {
    const std::int64_t blocks = 2 * world->size();
    return {blocks, blocks + 1, 2 * blocks - 1, 37, 40};
  }
  static std::vector<float> values_of(const TensorView& view) {
    return {view.as<float>(), view.as<float>() + view.count()};
  }

  ReferenceDevice device{Host{}, Config::map()};
  std::unique_ptr<Communicator> world = make_world_communicator();
  std::unique_ptr<Mesh> mesh =
      make_process_mesh(*world, MeshLayout({.cp = world->size()}, world->size()), device);
  ContextRows rows{Host{.device = &device, .mesh = mesh.get()}};
};

TEST_P(ContextRowsTest, gathered_are_whole_sequences_in_the_order_of_positions) {
  if (!rows.travel()) GTEST_SKIP() << "one rank has whole sequences";
  for (const std::int64_t length : lengths()) {
    const BatchShape shape = this->shape(length);
    const std::vector<float> all = numbered(shape.sequences * length);
    Rows memory(rows.memory(shape, kWidth)), together(whole(shape));
    const std::vector<float> own = own_of(shape, all);
    std::copy(own.begin(), own.end(), rows.own(shape, memory.view()).as<float>());
    Ticket ticket = rows.post_gather(memory.view());
    rows.wait(ticket);
    rows.put_together(device, shape, memory.view(), together.view());
    EXPECT_EQ(together.values, all) << length;
  }
}

TEST_P(ContextRowsTest, taken_apart_are_the_own_rows_of_whole_sequences) {
  if (!rows.travel()) GTEST_SKIP() << "one rank has whole sequences";
  for (const std::int64_t length : lengths()) {
    const BatchShape shape = this->shape(length);
    Rows memory(rows.memory(shape, kWidth)), apart(whole(shape));
    apart.values = numbered(shape.sequences * length);
    rows.take_apart(device, shape, apart.view(), memory.view());
    EXPECT_EQ(values_of(rows.own(shape, memory.view())), own_of(shape, apart.values)) << length;
  }
}

TEST_P(ContextRowsTest, ask_every_rank_for_memory_of_one_size) {
  for (const std::int64_t length : lengths()) {
    const BatchShape shape = this->shape(length);
    std::int64_t least = rows.travel() ? rows.memory(shape, kWidth).count() : 0, most = least;
    world->all_reduce(TensorView(&least, DType::i64, {1}), ReduceOp::min);
    world->all_reduce(TensorView(&most, DType::i64, {1}), ReduceOp::max);
    EXPECT_EQ(least, most);
    std::int64_t tokens = shape.tokens();
    world->all_reduce(TensorView(&tokens, DType::i64, {1}), ReduceOp::sum);
    EXPECT_EQ(tokens, shape.sequences * length) << "each token is on one rank";
    EXPECT_GE(shape.of_largest_rank().length, shape.length);
  }
}

INSTANTIATE_TEST_SUITE_P(Sequences, ContextRowsTest, ::testing::Values(1, 3));

}  // namespace
}  // namespace caravan::parallel
