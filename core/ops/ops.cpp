#include "caravan/ops.hpp"

#include <fmt/format.h>

#include "caravan/error.hpp"

namespace caravan {

#define CARAVAN_DEFINE_OP(name, Args)                                                                      \
  void Ops::name(const Args&) {                                                                            \
    throw DeviceError(fmt::format("operator " #name " is not implemented on device '{}'", device_name())); \
  }
CARAVAN_FOR_EACH_OP(CARAVAN_DEFINE_OP)
#undef CARAVAN_DEFINE_OP

}  // namespace caravan
