#include "jobs/setup/machine.hpp"

#include <fmt/format.h>

#include <fstream>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/reference_device.hpp"
#include "io/data/components.hpp"
#include "io/metrics/components.hpp"

namespace caravan::jobs {

std::unique_ptr<Registry> make_registry() {
  auto registry = std::make_unique<Registry>(Registry::plugin_directories());
  registry->add(reference_device_component());
  for (const caravan_component& component : io::data_components()) registry->add(component);
  for (const caravan_component& component : io::metrics_components()) registry->add(component);
  return registry;
}

Made<Device> choose_device(Registry& registry, const std::string& wanted, const Config& options) {
  if (wanted != "auto") return registry.create<Device>(wanted, Host::of(registry), options);
  CARAVAN_CHECK(
      options.entries().empty(), ConfigError,
      "device_options with device: auto (it is not known whose options they are). Name the device?");
  std::string refused;
  for (const char* name : {"cuda", "host"}) {
    try {
      auto device = registry.create<Device>(name, Host::of(registry), Config::map());
      log_info(fmt::format("device {}: the best that works here{}", name,
                           refused.empty() ? "" : " (" + refused + ")"));
      return device;
    } catch (const Error& error) {
      const std::string reason = error.message().substr(0, error.message().find('\n'));
      refused += fmt::format("{}{}: {}", refused.empty() ? "" : "; ", name, reason);
    }
  }
  log_warning(fmt::format("device reference: slow, and the only one that works here ({})", refused));
  return registry.create<Device>("reference", Host::of(registry), Config::map());
}

DType choose_precision(const Device& device, const std::string& wanted) {
  if (wanted == "auto") return device.compute_dtype();
  const DType type = wanted == "bf16" ? DType::bf16 : DType::f32;
  CARAVAN_CHECK(device.computes_in(type), ConfigError,
                fmt::format("precision {} on device {} (it computes in fp32 only). Take fp32 or auto?",
                            wanted, device.name()));
  return type;
}

std::string broadcast_text(Communicator& world, std::string text) {
  auto size = static_cast<std::int64_t>(text.size());
  world.broadcast(TensorView(&size, DType::i64, {1}), 0);
  text.resize(static_cast<std::size_t>(size));
  if (size > 0) world.broadcast(TensorView(text.data(), DType::u8, {size}), 0);
  return text;
}

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto value = [&] { return std::stoll(line.substr(line.find(':') + 1)) * 1024; };
    if (line.starts_with("VmRSS:")) memory.resident = value();
    if (line.starts_with("VmHWM:")) memory.peak = value();
  }
  return memory;
}

}  // namespace caravan::jobs
