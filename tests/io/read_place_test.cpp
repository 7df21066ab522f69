#include "io/files/read_place.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "caravan/error.hpp"
#include "io/files/axes.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

/// Of such views every step of the longer axis is short, and the whole is longer than what is read at once.
TEST(ReadPlace, AxesThatReachEquallyFarAreReadAllTheSame) {
  const TemporaryFolder folder;
  spill(folder.file("zeros"), "");
  std::filesystem::resize_file(folder.file("zeros"), 24'000'000);
  const io::File file(folder.file("zeros"), O_RDONLY);
  TensorView place(nullptr, DType::f32, {2, 3'000'000});
  place.strides = {1, 1, 0, 0};
  std::vector<float> values(6'000'000, 1.f);

  io::read_place(file, place, TensorView(values.data(), DType::f32, place.shape));

  EXPECT_EQ(std::count(values.begin(), values.end(), 0.f), 6'000'000);
}

TEST(ReadPlace, FourAxesThatOverlapAreReadAllTheSame) {
  const TemporaryFolder folder;
  spill(folder.file("zeros"), "");
  std::filesystem::resize_file(folder.file("zeros"), 24'000'000);
  const io::File file(folder.file("zeros"), O_RDONLY);
  TensorView place(nullptr, DType::f32, {2, 2, 2, 2});
  place.strides = {1'400'000, 1'400'000, 1'400'000, 1'400'000};
  std::vector<float> values(16, 1.f);

  io::read_place(file, place, TensorView(values.data(), DType::f32, place.shape));

  EXPECT_EQ(values, std::vector<float>(16, 0.f));
}

/// 1, 2, 3 … as 16 bit.
std::vector<std::uint16_t> counted(std::size_t count) {
  std::vector<std::uint16_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::uint16_t>(i * 40'503);
  return values;
}

/// Some columns of a matrix of rows of 8 KiB: with gaps, or not, to memory that lies as the file does, or
/// not.
void expect_columns(std::int64_t begin, std::int64_t end, bool is_exchanged, int threads) {
  constexpr std::int64_t kRows = 3000, kColumns = 4096;
  const TemporaryFolder folder;
  const auto values = counted(kRows * kColumns);
  spill(folder.file("x"),
        "head" + std::string(reinterpret_cast<const char*>(values.data()), values.size() * 2));
  const io::File file(folder.file("x"), O_RDONLY);
  TensorView place =
      TensorView(reinterpret_cast<void*>(4), DType::bf16, {kRows, kColumns}).slice(1, begin, end);
  if (is_exchanged) place = io::with_last_axes_exchanged(place);
  std::vector<std::uint16_t> read(static_cast<std::size_t>(place.count()));
  io::read_place(file, place, TensorView(read.data(), DType::bf16, place.shape), threads);
  const std::int64_t columns = end - begin;
  for (std::int64_t i = 0; i < place.count(); ++i) {
    const std::int64_t row = is_exchanged ? i % kRows : i / columns,
                       column = is_exchanged ? i / kRows : i % columns;
    ASSERT_EQ(read[static_cast<std::size_t>(i)],
              values[static_cast<std::size_t>(row * kColumns + begin + column)])
        << i;
  }
}

TEST(ReadPlace, ColumnsAreTheSameOnAnyThreadsWithAndWithoutGaps) {
  for (const int threads : {1, 4}) {
    for (const bool is_exchanged : {false, true}) {
      expect_columns(0, 4096, is_exchanged, threads);
      expect_columns(1, 2050, is_exchanged, threads);  // runs that are worth a call
      expect_columns(5, 6, is_exchanged, threads);
    }
  }
}

TEST(ReadPlace, ViewsThatAreTransposedAlikeAreReadAsTheyLie) {
  const TemporaryFolder folder;
  const auto values = counted(6 * 5000);
  spill(folder.file("x"), std::string(reinterpret_cast<const char*>(values.data()), values.size() * 2));
  const io::File file(folder.file("x"), O_RDONLY);
  const TensorView place(nullptr, DType::bf16, {6, 5000});
  std::vector<std::uint16_t> read(values.size());
  const TensorView to(read.data(), DType::bf16, place.shape);
  io::read_place(file, io::with_last_axes_exchanged(place), io::with_last_axes_exchanged(to));
  EXPECT_EQ(read, values);
}

TEST(ReadPlace, AFileThatEndsBeforeIsNamedOnAnyThreads) {
  const TemporaryFolder folder;
  spill(folder.file("short"), "");
  std::filesystem::resize_file(folder.file("short"), 40'000'000);
  const io::File file(folder.file("short"), O_RDONLY);
  const TensorView place(reinterpret_cast<void*>(8), DType::f32, {4000, 4000});
  std::vector<float> read(16'000'000);
  const auto read_it = [&] {
    io::read_place(file, place, TensorView(read.data(), DType::f32, place.shape), 4);
  };
  EXPECT_THAT(message_of<IoError>(read_it), ::testing::HasSubstr("truncated"));
}

}  // namespace
}  // namespace caravan::test
