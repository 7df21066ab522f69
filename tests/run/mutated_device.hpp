#pragma once

#include "caravan/device.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/run/model_fixture.hpp"

namespace caravan::testing {

/// The reference device with other operators, to see what a wrong one does.
template <class WrongOps>
class DeviceWith : public Device {
 public:
  DeviceWith() : device_(make_device("reference")) {}

  std::string_view name() const override { return "mutated"; }
  std::string description() const override {
    return "the reference device with operators changed on purpose";
  }
  Memory memory() const override { return device_->memory(); }
  DType compute_dtype() const override { return device_->compute_dtype(); }
  Ops& ops() override { return ops_; }
  void* allocate(std::size_t bytes, std::string_view what) override { return device_->allocate(bytes, what); }
  void release(void* data) noexcept override { device_->release(data); }
  void copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) override {
    device_->copy_to_host(lane, to, from, bytes);
  }
  void copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) override {
    device_->copy_from_host(lane, to, from, bytes);
  }
  void copy(Lane lane, void* to, const void* from, std::size_t bytes) override {
    device_->copy(lane, to, from, bytes);
  }
  void fill_zero(Lane lane, void* data, std::size_t bytes) override { device_->fill_zero(lane, data, bytes); }
  [[nodiscard]] Event record(Lane lane) override { return device_->record(lane); }
  void wait(Lane lane, Event event) override { device_->wait(lane, event); }
  void synchronize() override { device_->synchronize(); }

 private:
  Made<Device> device_;
  WrongOps ops_;
};

}  // namespace caravan::testing
