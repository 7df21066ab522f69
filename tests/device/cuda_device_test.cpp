#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "caravan/native_lane.hpp"
#include "caravan/ops.hpp"
#include "tests/device/cuda_fixture.hpp"
#include "tests/support/message_of.hpp"

// What is particular to the device cuda: memory, copies, lanes, recording. Its operators are in
// cuda_operators_test.cpp.
namespace caravan::testing {
namespace {

using ::testing::HasSubstr;

TEST(CudaDevice, SaysWhyItCannotServeAMachineWithoutAGpu) {
  if (gpu().device) {
    EXPECT_THAT((*gpu().device)->description(), HasSubstr("GPU"));
    return;
  }
  EXPECT_THAT(gpu().refusal, HasSubstr("device 'cuda' "));
  EXPECT_THAT(gpu().refusal, HasSubstr("Is the NVIDIA driver installed, and a GPU given to this process"));
}

TEST_F(CudaTest, IsAGpuThatComputesInBf16) {
  EXPECT_EQ(device().name(), "cuda");
  EXPECT_EQ(device().memory(), Memory::device);
  EXPECT_EQ(device().compute_dtype(), DType::bf16);
}

TEST_F(CudaTest, NamesWhatItHasNoMemoryFor) {
  EXPECT_THAT(
      message_of<DeviceError>([] { device().allocate(std::size_t{1} << 50, "the stash of stage 0"); }),
      HasSubstr("the stash of stage 0: no 1048576.00 GiB of device memory"));
  EXPECT_EQ(read<float>(place<float>({1, 2, 3})), (std::vector<float>{1, 2, 3}));
}

TEST_F(CudaTest, KnowsItsMemory) {
  const auto before = device().memory_use();
  ASSERT_TRUE(before);
  EXPECT_GT(before->free, 0u);
  EXPECT_LE(before->free, before->total);
  allocate(std::size_t{1} << 30);
  EXPECT_GE(before->free, device().memory_use()->free + (std::size_t{1} << 30));
}

/// Sources are written over at once, and are larger and smaller than what is copied through pinned memory.
TEST_F(CudaTest, CopiesManyBlocksOfEverySizeInBothDirections) {
  constexpr int kCopies = 100;
  std::vector<TensorView> views;
  std::vector<std::vector<std::int32_t>> back(kCopies);
  for (int i = 0; i < kCopies; ++i) {
    std::vector<std::int32_t> values(i % 10 == 9 ? 1'000'000 : 1 + 1000 * static_cast<std::size_t>(i % 10));
    std::iota(values.begin(), values.end(), i);
    views.push_back(place(values));
    std::fill(values.begin(), values.end(), -1);
  }
  for (std::size_t i = 0; i < kCopies; ++i) {
    back[i].assign(static_cast<std::size_t>(views[i].count()), -2);
    device().copy_to_host(Lane::compute, back[i].data(), views[i].data, views[i].bytes());
  }
  device().synchronize();
  for (int i = 0; i < kCopies; ++i) {
    std::vector<std::int32_t> expected(back[static_cast<std::size_t>(i)].size());
    std::iota(expected.begin(), expected.end(), i);
    ASSERT_EQ(back[static_cast<std::size_t>(i)], expected) << "copy " << i;
  }
}

/// Another lane copies what the compute lane wrote before the event; without the wait it would copy zeros.
TEST_F(CudaTest, CopiesRowsThatLieApart) {
  const TensorView wide = place<float>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).reshape({3, 4});
  const TensorView narrow = place<float>({-1, -1, -1, -1, -1, -1, -1, -1}).reshape({4, 2});

  device().copy_rows(Lane::compute, narrow.rows(1, 4), wide.slice(1, 2, 4));

  EXPECT_EQ(read<float>(narrow), (std::vector<float>{-1, -1, 2, 3, 6, 7, 10, 11}));
}

TEST_F(CudaTest, AnEventOrdersTheLanes) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  std::vector<unsigned char> ones(kBytes, 1);
  void *from = allocate(kBytes), *between = allocate(kBytes), *to = allocate(kBytes);
  device().copy_from_host(Lane::compute, from, ones.data(), kBytes);
  for (int round = 0; round < 3000; ++round) (void)device().record(Lane::compute);
  device().fill_zero(Lane::compute, between, kBytes);
  device().synchronize();
  device().copy(Lane::compute, between, from, kBytes);
  const Event written = device().record(Lane::compute);
  device().wait(Lane::expert, written);
  device().wait(Lane::expert, Event{});
  device().copy(Lane::expert, to, between, kBytes);
  device().wait(Lane::compute, device().record(Lane::expert));
  std::vector<unsigned char> back(kBytes);
  device().copy_to_host(Lane::compute, back.data(), to, kBytes);
  device().synchronize();
  EXPECT_EQ(back, ones);
}

TEST_F(CudaTest, RunsWhatOthersPostToALaneInItsOrder) {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  void *from = allocate(kBytes), *to = allocate(kBytes);
  device().fill_zero(Lane::compute, from, kBytes);
  const auto compute = native_lane<CudaStream>(device(), Lane::compute),
             expert = native_lane<CudaStream>(device(), Lane::expert);
  ASSERT_TRUE(compute && expert);
  EXPECT_NE(*compute, *expert);
  ASSERT_EQ(cudaMemsetAsync(from, 7, kBytes, *compute), cudaSuccess);
  device().copy(Lane::compute, to, from, kBytes);
  device().wait(Lane::expert, device().record(Lane::compute));
  ASSERT_EQ(cudaMemsetAsync(to, 9, kBytes / 2, *expert), cudaSuccess);
  std::vector<unsigned char> back(kBytes), expected(kBytes, 7);
  std::fill_n(expected.begin(), kBytes / 2, 9);
  device().copy_to_host(Lane::expert, back.data(), to, kBytes);
  device().synchronize();
  EXPECT_EQ(back, expected);
}

TEST_F(CudaTest, RefusesAnEventThatWasNeverRecorded) {
  EXPECT_THAT(message_of<DeviceError>([] { device().wait(Lane::expert, Event{std::uint64_t{1} << 40}); }),
              HasSubstr("were recorded on its lane"));
}

TEST_F(CudaTest, RecordsWhatRuns) {
  const TensorView x = place(std::vector<float>(1 << 20, 1.0f)), sum = place<double>({0});
  device().ops().sum_of_squares({x, sum});  // the first call loads the kernel, which may fill memory
  device().start_recording();
  for (int call = 0; call < 3; ++call) device().ops().sum_of_squares({x, sum});
  const std::vector<DeviceActivity> ran = device().stop_recording();
  ASSERT_EQ(ran.size(), 3u);
  for (std::size_t i = 0; i < ran.size(); ++i) {
    EXPECT_THAT(ran[i].name, HasSubstr("squares_kernel"));
    EXPECT_LT(ran[i].start_ns, ran[i].end_ns);
    EXPECT_TRUE(i == 0 || ran[i - 1].end_ns <= ran[i].start_ns);
  }
  device().ops().sum_of_squares({x, sum});
  device().start_recording();
  EXPECT_TRUE(device().stop_recording().empty());
}

/// What a later step does must not hold up the reading of this one.
TEST_F(CudaTest, AwaitsOneEventAndDeliversWhatCameBeforeIt) {
  const TensorView one = place<float>({1}), two = place<float>({2});
  float first = 0, second = 0;
  device().copy_to_host(Lane::compute, &first, one.data, sizeof first);
  const Event event = device().record(Lane::compute);
  device().copy_to_host(Lane::compute, &second, two.data, sizeof second);
  device().await(event);
  EXPECT_EQ(first, 1);
  device().synchronize();
  EXPECT_EQ(second, 2);
}

TEST_F(CudaTest, RefusesARankNumberThatIsNone) {
  ::setenv("OMPI_COMM_WORLD_LOCAL_RANK", "first", 1);
  EXPECT_THAT(message_of([] { make_device(); }), HasSubstr("OMPI_COMM_WORLD_LOCAL_RANK is 'first'"));
  ::setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1000", 1);
  EXPECT_THAT(make_device()->description(), HasSubstr("GPU "));
  ::unsetenv("OMPI_COMM_WORLD_LOCAL_RANK");
}

}  // namespace
}  // namespace caravan::testing
