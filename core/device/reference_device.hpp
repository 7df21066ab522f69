#pragma once

#include <array>

#include "caravan/device.hpp"
#include "caravan/plugin.hpp"
#include "caravan/reference_ops.hpp"

namespace caravan {

/// Host memory and plain loops: what every other device is compared with. Work is done when the call returns,
/// so events have always happened.
class ReferenceDevice final : public Device {
 public:
  using Interface = Device;
  static constexpr const char* kName = "reference";
  static constexpr const char* kSummary =
      "Plain loops in host memory with double accumulation; slow and exact.";
  static constexpr std::array<caravan_param, 0> kParams{};

  ReferenceDevice(const Host& host, const Config& config);

  std::string_view name() const override { return kName; }
  std::string description() const override;
  Memory memory() const override { return Memory::host; }
  DType compute_dtype() const override { return DType::f32; }
  bool computes_in(DType type) const override { return type == DType::f32 || type == DType::bf16; }
  Ops& ops() override { return ops_; }

  void* allocate(std::size_t bytes, std::string_view what) override;
  void release(void* data) noexcept override;

  void copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void fill_zero(Lane lane, void* data, std::size_t bytes) override;

  [[nodiscard]] Event record(Lane) override { return {}; }
  void wait(Lane, Event) override {}
  void synchronize() override {}

 private:
  ReferenceOps ops_;
};

}  // namespace caravan
