#pragma once

#include <string>

#include "caravan/device.hpp"
#include "caravan/error.hpp"
#include "caravan/registry.hpp"

namespace caravan::jobs {

/// A device of other machines, where this one cannot serve it: it has a name, takes every type, and has no
/// memory. It refuses nothing that the real one might take.
class StandInDevice final : public Device {
 public:
  /// `ops`: lends its operators, which are asked for nothing before there is memory.
  StandInDevice(std::string name, Made<Device> ops) : name_(std::move(name)), ops_(std::move(ops)) {}

  std::string_view name() const override { return name_; }
  std::string description() const override { return name_ + ", not of this machine"; }
  std::string exchange_path() const override { return "what device " + name_ + " has there"; }
  Memory memory() const override { return Memory::device; }
  bool computes() const override { return false; }
  /// The smaller one: a limit in bytes is not refused for what might fit.
  DType compute_dtype() const override { return DType::bf16; }
  Ops& ops() override { return ops_->ops(); }

  void* allocate(std::size_t, std::string_view) override { refuse(); }
  void release(void*) noexcept override {}
  void copy_to_host(Lane, void*, const void*, std::size_t) override { refuse(); }
  void copy_from_host(Lane, void*, const void*, std::size_t) override { refuse(); }
  void copy(Lane, void*, const void*, std::size_t) override { refuse(); }
  void fill_zero(Lane, void*, std::size_t) override { refuse(); }
  [[nodiscard]] Event record(Lane) override { refuse(); }
  void wait(Lane, Event) override { refuse(); }
  void synchronize() override { refuse(); }

 private:
  [[noreturn]] void refuse() const { throw DeviceError("device " + name_ + " is not of this machine"); }

  std::string name_;
  Made<Device> ops_;
};

}  // namespace caravan::jobs
