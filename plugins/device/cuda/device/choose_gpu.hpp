#pragma once

#include <string>

namespace caravan::cuda {

/// The GPU of this rank: its number among the ranks of its node, as the launcher says
/// (OMPI_COMM_WORLD_LOCAL_RANK, MPI_LOCALRANKID or SLURM_LOCALID, else 0), modulo the visible GPUs.
/// DeviceError when there is no driver or no GPU.
int choose_gpu();

/// "GPU-" and 32 hexadecimal digits: a number that no other GPU has.
std::string number_of_gpu(int ordinal);

/// "NVIDIA H200, 132 multiprocessors, 139.8 GiB, driver 13.0, runtime 13.0, GPU 0 of 1"
std::string describe_gpu(int ordinal);

}  // namespace caravan::cuda
