#include "tests/device/cuda/gpu_arrays.hpp"

#include <cmath>
#include <cstring>

#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/kernels/dtype.cuh"

namespace caravan::testing {
namespace {

using cuda::bf16;
constexpr int kBlocks = 1024, kThreads = 256;

__device__ std::uint32_t mix(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

/// The sum of four uniform numbers, scaled to variance 1.
template <class T>
__global__ void draw_kernel(T* to, std::uint32_t seed, std::int64_t first, std::int64_t count) {
  for (std::int64_t i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kBlocks * kThreads) {
    const auto at = static_cast<std::uint64_t>(first + i);
    std::uint32_t bits =
        mix(seed ^ mix(static_cast<std::uint32_t>(at) ^ mix(static_cast<std::uint32_t>(at >> 32))));
    float sum = -2.0f;
    for (int draw = 0; draw < 4; ++draw, bits = mix(bits + 0x9E3779B9u))
      sum += static_cast<float>(bits) * 0x1p-32f;
    to[first + i] = cuda::from_float<T>(sum * 1.7320508f);
  }
}

struct Sums {
  double squares;
  std::uint32_t largest;  // bits of a float ≥ 0, which sort as the float does
  unsigned long long numbers, bits, one_nan;
};

template <class T>
__device__ bool same_bits(const T& a, const T& b) {
  const auto *x = reinterpret_cast<const unsigned char*>(&a), *y = reinterpret_cast<const unsigned char*>(&b);
  bool same = true;
  for (unsigned i = 0; i < sizeof(T); ++i) same = same && x[i] == y[i];
  return same;
}

template <class T>
__global__ void square_kernel(const T* b, std::int64_t count, Sums* sums) {
  double squares = 0;
  unsigned long long numbers = 0;
  for (std::int64_t i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kBlocks * kThreads) {
    const double value = cuda::to_float(b[i]);
    if (!isnan(value)) squares += value * value, ++numbers;
  }
  atomicAdd(&sums->squares, squares);
  atomicAdd(&sums->numbers, numbers);
}

template <class T>
__global__ void compare_kernel(const T* a, const T* b, std::int64_t count, Sums* sums) {
  const double size = sqrt(sums->squares / static_cast<double>(sums->numbers ? sums->numbers : 1));
  float largest = 0;
  unsigned long long bits = 0, one_nan = 0;
  for (std::int64_t i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kBlocks * kThreads) {
    const double x = cuda::to_float(a[i]), y = cuda::to_float(b[i]);
    bits += same_bits(a[i], b[i]) ? 0 : 1;
    if (isnan(x) != isnan(y)) ++one_nan;
    if (!isnan(x) && !isnan(y))
      largest = fmaxf(largest, static_cast<float>(fabs(x - y) / (fabs(y) + size + 1e-30)));
  }
  atomicMax(&sums->largest, __float_as_uint(largest));
  atomicAdd(&sums->bits, bits);
  atomicAdd(&sums->one_nan, one_nan);
}

std::shared_ptr<void> allocate(std::size_t bytes) {
  void* data = nullptr;
  CARAVAN_CUDA_CHECK(cudaMalloc(&data, bytes > 0 ? bytes : 1));
  CARAVAN_CUDA_CHECK(cudaMemset(data, 0xFF, bytes));
  CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());  // streams that do not wait for the default one read it
  return {data, [](void* memory) { cudaFree(memory); }};
}

}  // namespace

GpuArray::GpuArray(DType dtype, std::int64_t count)
    : dtype_(dtype), count_(count), data_(allocate(static_cast<std::size_t>(count) * size_of(dtype))) {}

GpuArray::GpuArray(const std::vector<std::int32_t>& values)
    : GpuArray(DType::i32, static_cast<std::int64_t>(values.size())) {
  CARAVAN_CUDA_CHECK(cudaMemcpy(data(), values.data(), bytes(), cudaMemcpyHostToDevice));
}

std::size_t GpuArray::bytes() const {
  return static_cast<std::size_t>(count_) * size_of(dtype_);
}

void GpuArray::draw(std::uint32_t seed, std::int64_t first, std::int64_t count) const {
  cuda::with_type(dtype_,
                  [&]<class T>() { draw_kernel<<<kBlocks, kThreads>>>(as<T>(), seed, first, count); });
  CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());
}

Difference difference(const GpuArray& a, const GpuArray& b) {
  const std::shared_ptr<void> memory = allocate(sizeof(Sums));
  auto* sums = static_cast<Sums*>(memory.get());
  CARAVAN_CUDA_CHECK(cudaMemset(sums, 0, sizeof(Sums)));
  cuda::with_type(a.dtype(), [&]<class T>() {
    square_kernel<<<kBlocks, kThreads>>>(b.as<T>(), b.count(), sums);
    compare_kernel<<<kBlocks, kThreads>>>(a.as<T>(), b.as<T>(), b.count(), sums);
  });
  Sums result{};
  CARAVAN_CUDA_CHECK(cudaMemcpy(&result, sums, sizeof result, cudaMemcpyDeviceToHost));
  float largest = 0;
  static_assert(sizeof largest == sizeof result.largest);
  std::memcpy(&largest, &result.largest, sizeof largest);
  return {largest, static_cast<std::int64_t>(result.bits), static_cast<std::int64_t>(result.one_nan)};
}

}  // namespace caravan::testing
