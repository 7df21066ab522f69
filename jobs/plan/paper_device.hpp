#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "caravan/device.hpp"
#include "caravan/ops.hpp"

namespace caravan::jobs {

/// Told of every call: the operator's name, and how the device would run it.
using SeeCall = std::function<void(std::string_view, const OperatorPath&)>;

/// Asks the operators of a device what they would do, and does nothing.
class PaperOps final : public Ops {
 public:
  PaperOps(const Ops& asked, SeeCall see) : asked_(asked), see_(std::move(see)) {}
  std::string_view device_name() const override { return asked_.device_name(); }

#define CARAVAN_OVERRIDE_OP(name, Args)  \
  void name(const Args& args) override { \
    see_(#name, asked_.path_of(args));   \
  }
  CARAVAN_FOR_EACH_OP(CARAVAN_OVERRIDE_OP)
#undef CARAVAN_OVERRIDE_OP

 private:
  const Ops& asked_;
  SeeCall see_;
};

/// Another device on paper: nothing is computed, and its memory is addresses that nothing lies behind, so it
/// is as large as anybody asks. A walk on it tells which operators would be called, with which shapes.
/// Borrows the other one.
class PaperDevice final : public Device {
 public:
  PaperDevice(Device& asked, SeeCall see) : asked_(asked), ops_(asked.ops(), std::move(see)) {}

  std::string_view name() const override { return asked_.name(); }
  std::string description() const override { return asked_.description(); }
  /// As the other's tensors travel, which need no host memory where they are in it.
  std::string exchange_path() const override {
    return asked_.memory() == Memory::host ? "MPI" : asked_.exchange_path();
  }
  /// Never the host's, which callers may write to.
  Memory memory() const override { return Memory::device; }
  bool computes() const override { return false; }
  DType compute_dtype() const override { return asked_.compute_dtype(); }
  bool computes_in(DType type) const override { return asked_.computes_in(type); }
  Ops& ops() override { return ops_; }

  void* allocate(std::size_t bytes, std::string_view) override;
  void release(void*) noexcept override {}
  void copy_to_host(Lane, void*, const void*, std::size_t) override {}
  void copy_from_host(Lane, void*, const void*, std::size_t) override {}
  void copy(Lane, void*, const void*, std::size_t) override {}
  void fill_zero(Lane, void*, std::size_t) override {}
  [[nodiscard]] Event record(Lane) override { return {}; }
  void wait(Lane, Event) override {}
  void synchronize() override {}

 private:
  Device& asked_;
  PaperOps ops_;
  std::uintptr_t next_ = kFirst;
  static constexpr std::uintptr_t kFirst = std::uintptr_t{1} << 40, kAlignment = 256;  // as cudaMalloc's
};

}  // namespace caravan::jobs
