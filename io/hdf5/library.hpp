#pragma once

#include <hdf5.h>

#include <mutex>
#include <string_view>
#include <utility>

namespace caravan::io::h5 {

/// Prepares the HDF5 library on first use: no plugin is ever loaded, errors are not printed, and no handler
/// runs at exit (version 1.10.8's crashes there after a full disk).
void start();

/// HDF5 is built without threads, and checkpoints are written beside training: whoever calls it holds one of
/// these. May be nested.
class Guard {
 public:
  Guard();

 private:
  std::scoped_lock<std::recursive_mutex> lock_;
};

/// `result`, or IoError "cannot <doing> <object> (HDF5: <its own text>)" when it is negative.
hid_t checked(hid_t result, std::string_view doing, std::string_view object);
void check(herr_t result, std::string_view doing, std::string_view object);

/// Owns one HDF5 identifier.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close closer) : id_(id), close_(closer) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept;

  hid_t get() const noexcept { return id_; }
  operator hid_t() const noexcept { return id_; }
  /// Closes and reports, where a destructor must swallow: what was buffered is written here.
  void close(std::string_view object);

 private:
  void reset() noexcept;

  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

}  // namespace caravan::io::h5
