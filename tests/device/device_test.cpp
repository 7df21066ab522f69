#include <gtest/gtest.h>

#include <cctype>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/error.hpp"
#include "caravan/reference_device.hpp"
#include "caravan/registry.hpp"
#include "tests/device/cases.hpp"
#include "tests/device/compare.hpp"
#include "tests/support/plugin_dir.hpp"

// Every device of this build on every problem. A device is made once in the process: libraries below it
// (Kokkos, CUDA) start once.
namespace caravan::testing {
namespace {

constexpr const char* kDevices = CARAVAN_TEST_DEVICES;  // "reference host …", from the build

/// Rows with and without a gap; 16 bytes in bf16, which vector loads of a GPU need.
std::vector<Problem> problems_of(DType compute) {
  std::vector<Problem> all = all_problems({.compute = compute});
  for (const Problem& problem : all_problems({.compute = compute, .gap = compute == DType::f32 ? 3 : 8}))
    all.push_back({problem.name + "_gap", problem.operands, problem.run});
  return all;
}

/// A device of this build, or why this machine has none.
struct Machine {
  explicit Machine(const std::string& name) {
    registry.add(reference_device_component());
    try {
      device.emplace(registry.create<Device>(name, Host{}, Config::map()));
    } catch (const Error& error) {
      refusal = error.message();
    }
  }
  /// What its operators compute in.
  std::vector<DType> types() const {
    const DType type = (*device)->compute_dtype();
    return type == DType::f32 ? std::vector{type} : std::vector{type, DType::f32};
  }

  Registry registry{{test::plugin_dir()}};
  std::optional<Made<Device>> device;
  std::string refusal;
};

/// Never destroyed: the libraries of a GPU may end before this process's own objects do.
Machine& machine_of(const std::string& name) {
  static auto& machines = *new std::map<std::string, std::unique_ptr<Machine>>;
  auto& machine = machines[name];
  if (!machine) machine = std::make_unique<Machine>(name);
  return *machine;
}

const std::vector<Problem>& kept_problems(DType compute) {
  static auto& problems = *new std::map<DType, std::vector<Problem>>;
  const auto [found, is_new] = problems.try_emplace(compute);
  if (is_new) found->second = problems_of(compute);
  return found->second;
}

struct Case {
  std::string device;
  DType type;
  std::size_t problem;
  std::string name;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.device << " in " << name_of(c.type) << " on " << c.name;
}

std::vector<std::string> device_names() {
  std::istringstream names(kDevices);
  return {std::istream_iterator<std::string>(names), {}};
}

/// A device that this machine lacks has none.
std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string& device : device_names()) {
    const Machine& machine = machine_of(device);
    if (!machine.device) continue;
    for (DType type : machine.types()) {
      const std::vector<Problem>& problems = kept_problems(type);
      for (std::size_t i = 0; i < problems.size(); ++i) cases.push_back({device, type, i, problems[i].name});
    }
  }
  return cases;
}

/// GoogleTest takes letters, digits and underscores.
std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.device + "_" + std::string(name_of(info.param.type)) + "_" + info.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

class DeviceAgainstReference : public ::testing::TestWithParam<Case> {};

TEST_P(DeviceAgainstReference, Agrees) {
  Device& device = **machine_of(GetParam().device).device;

  EXPECT_TRUE(equals_reference(kept_problems(GetParam().type).at(GetParam().problem),
                               {.ops = device.ops(), .device = &device}));
}

TEST(Devices, OnlyAGpuMayBeAbsent) {
  std::string absent;
  for (const std::string& name : device_names()) {
    const Machine& machine = machine_of(name);
    if (machine.device) continue;
    EXPECT_EQ(name, "cuda") << machine.refusal;
    EXPECT_NE(machine.refusal.find("finds no GPU"), std::string::npos) << machine.refusal;
    absent += machine.refusal;
  }
  if (!absent.empty()) GTEST_SKIP() << absent;
}

INSTANTIATE_TEST_SUITE_P(All, DeviceAgainstReference, ::testing::ValuesIn(all_cases()), test_name);

}  // namespace
}  // namespace caravan::testing
