#include "plugins/device/cuda/device/choose_gpu.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cstdlib>

#include "caravan/check.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"

namespace caravan::cuda {
namespace {

const char* why_none(cudaError_t error) {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) return "there is no NVIDIA driver";
  return error == cudaSuccess ? "none is visible" : cudaGetErrorString(error);
}

int visible_gpus() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) (void)cudaGetLastError();
  CARAVAN_CHECK(
      error == cudaSuccess && count > 0, DeviceError,
      fmt::format("device 'cuda' finds no GPU ({}). Is the NVIDIA driver installed, and a GPU given "
                  "to this process (CUDA_VISIBLE_DEVICES)?",
                  why_none(error)));
  return count;
}

/// A launcher's number, or −1 when it did not say one.
int number_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return -1;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  CARAVAN_CHECK(*end == '\0' && value >= 0 && value < 65536, DeviceError,
                fmt::format("{} is '{}' (not the number of a rank on its node)", variable, text));
  return static_cast<int>(value);
}

std::string version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

}  // namespace

int choose_gpu() {
  const int count = visible_gpus();
  for (const char* variable : {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}) {
    if (const int rank = number_from(variable); rank >= 0) return rank % count;
  }
  return 0;
}

std::string number_of_gpu(int ordinal) {
  cudaDeviceProp properties{};
  CARAVAN_CUDA_CHECK(cudaGetDeviceProperties(&properties, ordinal));
  std::string number = "GPU-";
  for (const char byte : properties.uuid.bytes)
    number += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return number;
}

std::string describe_gpu(int ordinal) {
  cudaDeviceProp properties{};
  CARAVAN_CUDA_CHECK(cudaGetDeviceProperties(&properties, ordinal));
  int driver = 0, runtime = 0;
  CARAVAN_CUDA_CHECK(cudaDriverGetVersion(&driver));
  CARAVAN_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
  return fmt::format("{}, {} multiprocessors, {:.1f} GiB, driver {}, runtime {}, GPU {} of {}",
                     properties.name, properties.multiProcessorCount,
                     static_cast<double>(properties.totalGlobalMem) / (1024.0 * 1024 * 1024), version(driver),
                     version(runtime), ordinal, visible_gpus());
}

}  // namespace caravan::cuda
