#include "io/hdf5/library.hpp"

#include "caravan/error.hpp"

#include <fmt/format.h>

#include <string>

namespace caravan::io::h5 {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

bool prepare() {
  H5dont_atexit();
  H5open();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
  return true;
}

/// Called from the top of the error stack down; the last description is the cause.
herr_t keep_description(unsigned, const H5E_error2_t* error, void* to) {
  if (error->desc && *error->desc) *static_cast<std::string*>(to) = error->desc;
  return 0;
}

std::string take_cause() {
  std::string cause;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_description, &cause);
  H5Eclear2(H5E_DEFAULT);
  return cause.empty() ? "no reason given" : cause;
}

}  // namespace

void start() {
  static const bool prepared = prepare();
  static_cast<void>(prepared);
}

Guard::Guard() : lock_(library_mutex()) {}

hid_t checked(hid_t result, std::string_view doing, std::string_view object) {
  if (result < 0) throw IoError(fmt::format("cannot {} {} (HDF5: {})", doing, object, take_cause()));
  return result;
}

void check(herr_t result, std::string_view doing, std::string_view object) {
  checked(result, doing, object);
}

Handle& Handle::operator=(Handle&& other) noexcept {
  reset();
  id_ = std::exchange(other.id_, H5I_INVALID_HID);
  close_ = other.close_;
  return *this;
}

void Handle::close(std::string_view object) {
  if (id_ < 0) return;
  const Guard guard;
  check(close_(std::exchange(id_, H5I_INVALID_HID)), "close", object);
}

void Handle::reset() noexcept {
  if (id_ < 0) return;
  const Guard guard;
  close_(std::exchange(id_, H5I_INVALID_HID));
}

}  // namespace caravan::io::h5
