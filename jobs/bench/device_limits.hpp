#pragma once

#include <string_view>

#include "caravan/device.hpp"
#include "jobs/bench/peak.hpp"

namespace caravan::jobs {

/// The best rate of `device`'s own large matrix products, in its compute type and on random data: what
/// operators that multiply are measured against where registers alone say nothing, because a GPU's clock
/// falls with the data. 0, and a warning, when the device has no matrix product.
FmaPeak measure_matrix_rate(Device& device);

/// FLOP/s of dense bf16 products in the datasheet of the GPU that a device's description names, or 0 where
/// none is known: 989.4e12 for the SXM cards of the H100 and the H200 (NVIDIA H200 datasheet, 2024; half of
/// its numbers with sparsity).
double datasheet_rate(std::string_view description);

/// Bytes a second that leave such a card over its links, or 0: 450e9 for the same two (NVLink 4, 18 links of
/// 25 GB/s; NVIDIA H100 datasheet, half of its 900 GB/s for both ways).
double datasheet_link_rate(std::string_view description);

/// Bytes read plus bytes written a second by the device's own copy of `bytes / 2` bytes of random data.
double measure_copy_bandwidth(Device& device, std::int64_t bytes);

}  // namespace caravan::jobs
