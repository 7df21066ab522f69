#include "caravan/error.hpp"
#include "caravan/plugin.hpp"
#include "tests/support/apart_device.hpp"

namespace caravan {
namespace {

/// A device that other machines have, as a GPU is to a login node.
class AbsentDevice final : public testing::ApartDevice {
 public:
  static constexpr const char* kName = "absent";
  static constexpr const char* kSummary = "Never here";

  AbsentDevice(const Host&, const Config&) { throw DeviceError("no such thing in this machine"); }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("device-absent", CARAVAN_VERSION, "Apache-2.0", "A device that cannot be made.",
               caravan::component<caravan::AbsentDevice>());
