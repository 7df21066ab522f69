#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/device.hpp"
#include "caravan/error.hpp"
#include "caravan/registry.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::testing {

/// Error where there is no GPU.
inline Made<Device> make_device() {
  static auto& registry = *new Registry({test::plugin_dir()});
  return registry.create<Device>("cuda", Host{}, Config::map());
}

/// The device of this process, made once, or why there is none.
struct Gpu {
  std::optional<Made<Device>> device;
  std::string refusal;
  Gpu() {
    try {
      device.emplace(make_device());
    } catch (const Error& error) {
      refusal = error.message();
    }
  }
};

inline const Gpu& gpu() {
  static auto& one = *new Gpu;
  return one;
}

/// Skips where there is no GPU.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!gpu().device) GTEST_SKIP() << gpu().refusal;
  }
  void TearDown() override {
    for (void* block : blocks_) device().release(block);
  }

  static Device& device() { return **gpu().device; }
  void* allocate(std::size_t bytes) { return blocks_.emplace_back(device().allocate(bytes, "test")); }
  template <class T>
  TensorView place(const std::vector<T>& values) {
    void* data = allocate(values.size() * sizeof(T));
    device().copy_from_host(Lane::compute, data, values.data(), values.size() * sizeof(T));
    return TensorView(data, dtype_of<T>, {std::ssize(values)});
  }
  template <class T>
  std::vector<T> read(const TensorView& view) {
    std::vector<T> values(static_cast<std::size_t>(view.count()));
    device().copy_to_host(Lane::compute, values.data(), view.data, view.bytes());
    device().synchronize();
    return values;
  }

 private:
  std::vector<void*> blocks_;
};

}  // namespace caravan::testing
