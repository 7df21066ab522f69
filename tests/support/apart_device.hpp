#pragma once

#include <algorithm>
#include <map>
#include <string>
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
  static constexpr caravan_param kParams[] = {
      {"memory", "int", "0", "bytes", ">= 0", "What it says it has; 0: it does not say."},
      {"pins", "bool", "true", "", "", "Whether it pins memory of the host."}};

  ApartDevice(const Host&, const Config& config)
      : said_(static_cast<std::size_t>(config.get_int("memory"))), pins_(config.get_bool("pins")) {}
  ApartDevice() = default;
  /// Pinned memory must be given back before the device goes.
  ~ApartDevice() override;

  std::string_view name() const override { return kName; }
  std::string description() const override { return "apart: the reference on memory of its own"; }
  Memory memory() const override { return Memory::device; }
  DType compute_dtype() const override { return DType::bf16; }
  Ops& ops() override { return ops_; }

  void* allocate(std::size_t bytes, std::string_view what) override;
  void release(void* data) noexcept override { memory_.release(data); }
  std::optional<MemoryUse> memory_use() const override {
    if (said_ == 0) return std::nullopt;
    return MemoryUse{said_, said_ - std::min(said_, taken_)};
  }
  std::string pin_host(void* data, std::size_t bytes) override;
  void unpin_host(void* data) noexcept override;
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

  std::size_t said_ = 0, taken_ = 0;
  bool pins_ = true;
  std::map<void*, std::size_t> pinned_;
  ApartMemory memory_;
  ApartOps ops_{memory_};
  std::vector<Arrival> arrivals_;
};

}  // namespace caravan::testing
