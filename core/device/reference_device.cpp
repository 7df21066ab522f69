#include "core/device/reference_device.hpp"

#include <fmt/format.h>

#include <cstring>
#include <new>

#include "caravan/error.hpp"
#include "caravan/reference_device.hpp"

namespace caravan {
namespace {

constexpr std::align_val_t kAlignment{64};

void move_bytes(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memmove(to, from, bytes);
}

}  // namespace

ReferenceDevice::ReferenceDevice(const Host&, const Config&) {}

std::string ReferenceDevice::description() const {
  return "reference: plain loops, double accumulation, 1 core";
}

void* ReferenceDevice::allocate(std::size_t bytes, std::string_view what) {
  void* data = ::operator new(bytes, kAlignment, std::nothrow);
  if (!data) {
    throw DeviceError(fmt::format(
        "{} bytes for '{}' on device 'reference' (the host has not so much free memory)", bytes, what));
  }
  return data;
}

void ReferenceDevice::release(void* data) noexcept {
  ::operator delete(data, kAlignment);
}

void ReferenceDevice::copy_to_host(Lane, void* to, const void* from, std::size_t bytes) {
  move_bytes(to, from, bytes);
}

void ReferenceDevice::copy_from_host(Lane, void* to, const void* from, std::size_t bytes) {
  move_bytes(to, from, bytes);
}

void ReferenceDevice::copy(Lane, void* to, const void* from, std::size_t bytes) {
  move_bytes(to, from, bytes);
}

void ReferenceDevice::fill_zero(Lane, void* data, std::size_t bytes) {
  if (bytes > 0) std::memset(data, 0, bytes);
}

const caravan_component& reference_device_component() {
  static constexpr caravan_component kComponent = component<ReferenceDevice>();
  return kComponent;
}

}  // namespace caravan
