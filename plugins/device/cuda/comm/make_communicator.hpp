#pragma once

#include <memory>
#include <string>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "plugins/device/cuda/device/context.hpp"

namespace caravan::cuda {

/// [collective over the ranks of `bootstrap`] What moves tensors on the GPUs of these ranks, in the order of
/// `lane`. Null where this build has no NCCL. Borrows both.
std::unique_ptr<Communicator> make_communicator(Context& context, Communicator& bootstrap, Lane lane);

/// "NCCL 2.28.3", as loaded, or "no NCCL".
std::string describe_exchanges();

/// Whether this build has NCCL.
bool has_own_exchanges();

}  // namespace caravan::cuda
