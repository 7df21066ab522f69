#pragma once

#include <memory>
#include <optional>
#include <string>

#include "caravan/config.hpp"
#include "caravan/error.hpp"
#include "tests/parallel/tensor_exchanges.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Ranks with the device cuda. Those that have one GPU for all pretend to be on several hosts.
namespace caravan::testing {

/// The GPU of this process, once.
struct Gpu {
  std::optional<Made<Device>> device;
  std::string absent;
  explicit Gpu(Communicator& world) {
    static auto& registry = *new Registry({test::plugin_dir()});
    try {
      test::prepare_shared_gpu(registry, world);
      device.emplace(registry.create<Device>("cuda", Host{}, Config::parse("{exchanges: nccl}")));
    } catch (const Error& error) {
      absent = error.message();
    }
  }
};
inline const Gpu& gpu(Communicator& world) {
  static auto& one = *new Gpu(world);
  return one;
}

template <Lane kLane>
class NcclBackend {
 public:
  explicit NcclBackend(Communicator& world) : gpu_(gpu(world)) {
    if (gpu_.device) group_ = device().make_communicator(world, kLane);
  }
  Device& device() { return **gpu_.device; }
  Communicator& group() { return *group_; }
  std::string absent() const { return gpu_.absent; }

 private:
  const Gpu& gpu_;
  std::unique_ptr<Communicator> group_;
};

/// Rows of every rank in the memory of every other, with no host between.
class GpuWindows : public TensorExchanges<NcclBackend<Lane::expert>> {
 protected:
  void SetUp() override {
    TensorExchanges::SetUp();
    if (IsSkipped()) return;
    if (size() == 1) GTEST_SKIP() << "one rank shares nothing";
    if (!group().why_no_window().empty()) GTEST_SKIP() << group().why_no_window();
  }
};

}  // namespace caravan::testing
