#include "io/files/pack.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

// A view's elements in row-major order, in as few stretches of memory as they lie in.
namespace caravan::test {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t kA = 3, kB = 6, kC = 4;

class Stretches : public ::testing::Test {
 protected:
  Stretches() : values_(kA * kB * kC) { std::iota(values_.begin(), values_.end(), 0.f); }
  TensorView whole() { return {values_.data(), DType::f32, {kA, kB, kC}}; }
  /// Elements of each stretch.
  static std::vector<std::size_t> sizes(const TensorView& view) {
    std::vector<std::size_t> all;
    io::for_each_run(view, [&](auto bytes) { all.push_back(bytes.size() / sizeof(float)); });
    return all;
  }
  static std::vector<float> packed(const TensorView& view) {
    std::vector<float> all;
    io::for_each_run(view, [&](auto bytes) {
      const auto* first = reinterpret_cast<const float*>(bytes.data());
      all.insert(all.end(), first, first + bytes.size() / sizeof(float));
    });
    return all;
  }
  std::vector<float> values_;
};

TEST_F(Stretches, AreAsLongAsTheMemoryAllows) {
  EXPECT_THAT(sizes(whole()), ElementsAre(72));
  EXPECT_THAT(sizes(whole().rows(1, 3)), ElementsAre(48));
  EXPECT_THAT(sizes(whole().slice(1, 2, 5)), ElementsAre(12, 12, 12));
  EXPECT_THAT(sizes(whole().slice(2, 1, 3)).size(), kA * kB);
  EXPECT_THAT(sizes(whole().rows(1, 2).slice(1, 2, 5)), ElementsAre(12)) << "an axis of one has no stride";
  EXPECT_THAT(sizes(TensorView(values_.data(), DType::f32, {})), ElementsAre(1));
  EXPECT_THAT(sizes(whole().rows(1, 1)), ElementsAre());
}

TEST_F(Stretches, HoldTheElementsInRowMajorOrder) {
  const TensorView view = whole().slice(1, 2, 5).slice(2, 1, 3);
  std::vector<float> wanted;
  for (std::int64_t a = 0; a < kA; ++a) {
    for (std::int64_t b = 2; b < 5; ++b) {
      for (std::int64_t c = 1; c < 3; ++c) wanted.push_back(static_cast<float>((a * kB + b) * kC + c));
    }
  }
  EXPECT_EQ(packed(view), wanted);
  std::vector<float> contiguous;
  io::for_each_packed(view, [&](std::span<const std::byte> bytes) {
    contiguous.resize(bytes.size() / sizeof(float));
    std::memcpy(contiguous.data(), bytes.data(), bytes.size());
  });
  EXPECT_EQ(contiguous, wanted);
  TensorView turned(values_.data(), DType::f32, {2, 2});
  turned.strides = {1, 2};
  EXPECT_THAT(packed(turned), ElementsAre(0, 2, 1, 3));
}

}  // namespace
}  // namespace caravan::test
