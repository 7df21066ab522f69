#include <gmock/gmock.h>

#include <random>
#include <vector>

#include "io/files/axes.hpp"
#include "io/files/convert.hpp"

// Tiles that change rows for columns in registers give what single elements give, whatever is left at the
// edges.
namespace caravan::test {
namespace {

template <class T>
std::vector<T> noise(std::int64_t count) {
  std::mt19937_64 random(3);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(random());
  return values;
}

struct Matrix {
  std::int64_t rows, columns, gap;  ///< elements between rows beside those of the matrix
};

template <class T>
void expect_exchanged(const Matrix& size, DType dtype) {
  const auto [rows, columns, gap] = size;
  const auto from = noise<T>(rows * (columns + gap) + 1);
  std::vector<T> to(static_cast<std::size_t>(rows * columns + 1), T{7}), back(from.size(), T{9});
  TensorView source(const_cast<T*>(from.data()) + 1, dtype, {rows, columns});
  source.strides[0] = columns + gap;
  const TensorView target(to.data() + 1, dtype, {columns, rows});
  io::copy_elements(io::with_last_axes_exchanged(source), target);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      ASSERT_EQ(to[static_cast<std::size_t>(1 + c * rows + r)],
                from[static_cast<std::size_t>(1 + r * (columns + gap) + c)])
          << rows << " x " << columns << " at " << r << ", " << c;
  EXPECT_EQ(to[0], T{7});
  TensorView again = source;
  again.data = back.data() + 1;
  io::copy_elements(target, io::with_last_axes_exchanged(again));
  for (std::size_t i = 1; i < back.size(); ++i) {
    const bool is_gap = static_cast<std::int64_t>(i - 1) % (columns + gap) >= columns;
    ASSERT_EQ(back[i], is_gap ? T{9} : from[i]) << i;
  }
}

TEST(CopyElements, ExchangesRowsAndColumnsOfAnySize) {
  for (const Matrix& size :
       {Matrix{1, 1, 0}, {31, 33, 0}, {32, 32, 0}, {32, 64, 3}, {33, 97, 1}, {100, 65, 0}}) {
    expect_exchanged<std::uint8_t>(size, DType::u8);
    expect_exchanged<std::uint16_t>(size, DType::bf16);
    expect_exchanged<std::uint32_t>(size, DType::f32);
    expect_exchanged<std::uint64_t>(size, DType::i64);
  }
}

TEST(CopyElements, ExchangesAndConvertsAtOnce) {
  const std::vector<float> from{1, 2, 3, 4, 5, 6};
  std::vector<std::uint16_t> to(6);
  const TensorView source(const_cast<float*>(from.data()), DType::f32, {2, 3});
  io::copy_elements(io::with_last_axes_exchanged(source), TensorView(to.data(), DType::bf16, {3, 2}));
  EXPECT_THAT(to, ::testing::ElementsAre(0x3F80, 0x4080, 0x4000, 0x40A0, 0x4040, 0x40C0));
}

}  // namespace
}  // namespace caravan::test
