#include "caravan/plugin.hpp"

#include "plugins/device/cuda/device/cuda_device.hpp"

CARAVAN_PLUGIN("device-cuda", CARAVAN_VERSION, "Apache-2.0", "The NVIDIA GPU device",
               caravan::component<caravan::cuda::CudaDevice>());
