// Where NCCL was not found at configure time.
#include "plugins/device/cuda/comm/make_communicator.hpp"

namespace caravan::cuda {

std::unique_ptr<Communicator> make_communicator(Context&, Communicator&, Lane) {
  return nullptr;
}

std::string describe_exchanges() {
  return "no NCCL";
}

bool has_own_exchanges() {
  return false;
}

}  // namespace caravan::cuda
