#include "io/files/read_place.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <vector>

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

}  // namespace
}  // namespace caravan::test
