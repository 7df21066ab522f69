#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/device.hpp"
#include "caravan/error.hpp"
#include "caravan/ops.hpp"
#include "caravan/registry.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

// What is particular to the device cuda. The operators against the reference are in device_test.cpp.
namespace caravan::testing {
namespace {

using ::testing::HasSubstr;

Made<Device> make_device() {
  static auto& registry = *new Registry({test::plugin_dir()});
  return registry.create<Device>("cuda", Host{}, Config::map());
}

/// The device of this process, made once, or why there is none.
struct Gpu {
  std::optional<Made<Device>> device;
  std::string refusal;
  Gpu() {
    try {
      device.emplace(make_device());
    } catch (const Error& error) {
      refusal = error.message();
    }
  }
};

const Gpu& gpu() {
  static auto& one = *new Gpu;
  return one;
}

TEST(CudaDevice, SaysWhyItCannotServeAMachineWithoutAGpu) {
  if (gpu().device) {
    EXPECT_THAT((*gpu().device)->description(), HasSubstr("GPU"));
    return;
  }
  EXPECT_THAT(gpu().refusal, HasSubstr("device 'cuda' "));
  EXPECT_THAT(gpu().refusal, HasSubstr("Is the NVIDIA driver installed, and a GPU given to this process"));
}

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!gpu().device) GTEST_SKIP() << gpu().refusal;
  }
  void TearDown() override {
    for (void* block : blocks_) device().release(block);
  }

  static Device& device() { return **gpu().device; }
  void* allocate(std::size_t bytes) { return blocks_.emplace_back(device().allocate(bytes, "test")); }
  template <class T>
  TensorView place(const std::vector<T>& values) {
    void* data = allocate(values.size() * sizeof(T));
    device().copy_from_host(Lane::compute, data, values.data(), values.size() * sizeof(T));
    return TensorView(data, dtype_of<T>, {std::ssize(values)});
  }
  template <class T>
  std::vector<T> read(const TensorView& view) {
    std::vector<T> values(static_cast<std::size_t>(view.count()));
    device().copy_to_host(Lane::compute, values.data(), view.data, view.bytes());
    device().synchronize();
    return values;
  }

 private:
  std::vector<void*> blocks_;
};

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

/// Attention of 64 tokens, whose tensors nobody reads.
AttentionForward attention(const TensorView& block, DType type, std::int64_t width) {
  const TensorView heads(block.data, type, {2, 64, 4, width}), lse(block.data, DType::f32, {2, 4, 64});
  return {.q = heads, .k = heads, .v = heads, .out = heads, .lse = lse};
}

TEST_F(CudaTest, NamesThePathOfAttentionAndWhyItIsSlow) {
  const TensorView block = place(std::vector<float>(1 << 16));
  const auto says = [&](const AttentionForward& args, const char* path, const char* why) {
    const OperatorPath answer = device().ops().path_of(args);
    EXPECT_EQ(answer.path, path) << why;
    EXPECT_EQ(answer.why, why);
    EXPECT_EQ(answer.pace == OperatorPath::Pace::plain, answer.path == "plain kernel");
  };
  AttentionForward args = attention(block, DType::bf16, 96);
  says(args, "cuDNN", "");
  args.mask.chunk = 16;
  says(args, "cuDNN", "chunks as sequences in 2 pieces");
  args.mask.chunk = 48;
  says(args, "plain kernel", "chunks that do not divide the sequence");
  says(attention(block, DType::f32, 96), "plain kernel", "fp32");
  says(attention(block, DType::bf16, 92), "plain kernel", "heads not a multiple of 8 wide");
  args = attention(block, DType::bf16, 96);
  args.dropout.probability = 0.5, args.dropout.global_length = 64;
  says(args, "plain kernel", "dropout of probabilities");
  args = attention(block, DType::bf16, 96);
  args.mask.documents = TensorView(block.data, DType::i32, {2, 64});
  says(args, "plain kernel", "documents");
  args = attention(block, DType::bf16, 96);
  args.mask.first_query = 8;
  says(args, "plain kernel", "a cache of keys");
}

TEST_F(CudaTest, NamesThePathOfProducts) {
  const TensorView block = place(std::vector<float>(1 << 16));
  const auto path = [&](DType type, std::int64_t outputs) {
    return device().ops().path_of(LinearForward{.x = TensorView(block.data, type, {64, 64}),
                                                .w = TensorView(block.data, type, {outputs, 64}),
                                                .y = TensorView(block.data, DType::f32, {64, outputs})});
  };
  EXPECT_EQ(path(DType::bf16, 64).path, "cuBLASLt");
  EXPECT_EQ(path(DType::bf16, 31).path, "own kernel");
  EXPECT_EQ(path(DType::f32, 64).why, "fp32, without tensor cores");
  const auto grouped = [&](DType type, std::int64_t inputs) {
    return device().ops().path_of(GroupedLinearForward{.x = TensorView(block.data, type, {64, inputs}),
                                                       .offsets = TensorView(block.data, DType::i32, {3}),
                                                       .w = TensorView(block.data, type, {2, 64, inputs}),
                                                       .y = TensorView(block.data, type, {64, 64})});
  };
  EXPECT_EQ(grouped(DType::bf16, 64).why, "tensor cores");
  EXPECT_EQ(grouped(DType::bf16, 60).why, "rows off 16 bytes");
  EXPECT_EQ(grouped(DType::bf16, 60).pace, OperatorPath::Pace::plain);
  EXPECT_EQ(grouped(DType::f32, 64).path, "plain kernel");
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

TEST_F(CudaTest, RefusesAnEventThatWasNeverRecorded) {
  EXPECT_THAT(message_of<DeviceError>([] { device().wait(Lane::expert, Event{std::uint64_t{1} << 40}); }),
              HasSubstr("were recorded on its lane"));
}

TEST_F(CudaTest, NamesOperatorAndArgumentOfAViewThatDoesNotFit) {
  const TensorView x = place<float>({1, 2, 3, 4}), y = place<double>({1, 2, 3, 4});
  EXPECT_THAT(message_of<DeviceError>([&] {
                device().ops().add({x, y});
              }),
              HasSubstr("add on device 'cuda': 'y' is f64 (f32 and bf16 are computed here)"));
  EXPECT_THAT(message_of<DeviceError>([&] {
                device().ops().add({x.rows(0, 3), x});
              }),
              HasSubstr("'x' has shape [3] (needs [4])"));
}

/// The ids are not seen by the host, so what is outside the vocabulary must show in the loss.
TEST_F(CudaTest, AWordOutsideTheVocabularyIsNotANumber) {
  const TensorView table = place<float>({1, 2, 3, 4}).reshape({2, 2});
  const TensorView out = place(std::vector<float>(6)).reshape({3, 2});
  device().ops().embedding_forward({place<std::int32_t>({1, 2, -1}), table, out});
  const std::vector<float> rows = read<float>(out);
  EXPECT_EQ(rows[0], 3);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_TRUE(std::isnan(rows[i])) << i;
}

/// Sums of many parts in another order would differ in their last bits.
TEST_F(CudaTest, TwoRunsGiveTheSameBits) {
  constexpr std::int64_t kTokens = 5000, kWidth = 256;
  std::vector<float> values(kTokens * kWidth);
  std::vector<std::int32_t> ids(kTokens);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = normal({1, 2}, 0, i);
  for (std::size_t t = 0; t < ids.size(); ++t) ids[t] = static_cast<std::int32_t>(t * t % 97);
  const TensorView x = place(values).reshape({kTokens, kWidth}), tokens = place(ids),
                   rstd = x.reshape({kTokens * kWidth}).rows(0, kTokens);
  const auto run = [&] {
    const TensorView dtable = place(std::vector<float>(97 * kWidth)).reshape({97, kWidth}),
                     dweight = place(std::vector<float>(kWidth)), sum = place<double>({0});
    device().ops().embedding_backward_weight({tokens, x, dtable});
    device().ops().rmsnorm_backward_weight({x, rstd, x, dweight});
    device().ops().sum_of_squares({x, sum});
    std::vector<float> all = read<float>(dtable);
    for (float value : read<float>(dweight)) all.push_back(value);
    all.push_back(static_cast<float>(read<double>(sum)[0]));
    return all;
  };
  const std::vector<float> first = run();
  for (int again = 0; again < 5; ++again) EXPECT_EQ(run(), first);
}

TEST_F(CudaTest, DropoutDrawsTheStreamOfCoreToTheBit) {
  constexpr std::int64_t kRows = 37, kColumns = 136;
  const RandomKey key{123456789012345ull, 77};
  for (std::int64_t width : {kColumns, kColumns - 3}) {
    const TensorView x = place(std::vector<float>(kRows * width, 1.0f)).reshape({kRows, width});
    device().ops().dropout(
        {.x = x, .probability = 0.4f, .key = key, .rows = TokenMap::whole(1'000'000'000'000, 1)});
    const std::vector<float> values = read<float>(x);
    for (std::int64_t i = 0; i < kRows * width; ++i) {
      const auto row = static_cast<std::uint64_t>(1'000'000'000'000 + i / width);
      ASSERT_EQ(values[static_cast<std::size_t>(i)],
                dropout_factor(key, row, static_cast<std::uint64_t>(i % width), 0.4f))
          << "element " << i << " of rows of " << width;
    }
  }
}

TEST_F(CudaTest, ALossThatIsNotANumberStaysNone) {
  std::vector<float> values(10000, 1.0f);
  values[7777] = std::nanf("");
  const TensorView sum = place<double>({0});
  device().ops().sum_of_squares({place(values), sum});
  EXPECT_TRUE(std::isnan(read<double>(sum)[0]));
}

TEST_F(CudaTest, AStepThatFailedUpdatesNothingAndStopsTheNext) {
  const float nan = std::nanf("");
  const TensorView factor = place<float>({1});
  device().ops().clip_factor({place<double>({nan}), factor, 1.0});
  EXPECT_TRUE(std::isnan(read<float>(factor)[0]));
  device().ops().clip_factor({place<double>({4}), factor, 1.0});
  EXPECT_TRUE(std::isnan(read<float>(factor)[0]));

  const std::vector<float> before{1, 2, 3, 4, 5};
  const TensorView master = place(before), m = place(before), v = place(before);
  device().ops().adamw_step({.master = master,
                             .grad = place(before),
                             .exp_avg = m,
                             .exp_avg_sq = v,
                             .lr = 0.1,
                             .gradient_scale = factor});
  const TensorView bias = place(before);
  device().ops().expert_bias_update({.counts = place(before), .bias = bias, .rate = 0.5f, .proceed = factor});
  for (const TensorView& kept : {master, m, v, bias}) EXPECT_EQ(read<float>(kept), before);
}

TEST_F(CudaTest, RecordsWhatRuns) {
  const TensorView x = place(std::vector<float>(1 << 20, 1.0f)), sum = place<double>({0});
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
