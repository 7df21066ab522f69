#pragma once

#include <array>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/plugin.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/support/apart_memory.hpp"

namespace caravan::testing {

/// The reference's operators on memory that only they may touch. A view of other memory is a DeviceError.
class ApartOps final : public ReferenceOps {
 public:
  explicit ApartOps(ApartMemory& memory) : memory_(memory) {}
  std::string_view device_name() const override { return "apart"; }

#define CARAVAN_OVERRIDE_OP(name, Args) void name(const Args& args) override;
  CARAVAN_FOR_EACH_OP(CARAVAN_OVERRIDE_OP)
#undef CARAVAN_OVERRIDE_OP

 private:
  ApartMemory& memory_;
};

/// What a GPU is to the rest of the program, without one: memory of its own, closed to the host; copies that
/// arrive when the device is waited for and not before; bf16 unless the job says otherwise.
class ApartDevice : public Device {
 public:
  using Interface = Device;
  static constexpr const char* kName = "apart";
  static constexpr const char* kSummary = "The reference on memory of its own, as on a GPU";
  static constexpr std::array<caravan_param, 0> kParams{};

  ApartDevice(const Host&, const Config&) {}
  ApartDevice() = default;

  std::string_view name() const override { return kName; }
  std::string description() const override { return "apart: the reference on memory of its own"; }
  Memory memory() const override { return Memory::device; }
  DType compute_dtype() const override { return DType::bf16; }
  Ops& ops() override { return ops_; }

  void* allocate(std::size_t bytes, std::string_view what) override;
  void release(void* data) noexcept override { memory_.release(data); }
  void copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void fill_zero(Lane lane, void* data, std::size_t bytes) override;
  [[nodiscard]] Event record(Lane) override { return {}; }
  void wait(Lane, Event) override {}
  void synchronize() override;

 private:
  /// A copy that has not arrived.
  struct Arrival {
    void* to;
    std::vector<std::byte> bytes;
  };
  void check(const void* data, std::size_t bytes, const char* what) const;

  ApartMemory memory_;
  ApartOps ops_{memory_};
  std::vector<Arrival> arrivals_;
};

}  // namespace caravan::testing
