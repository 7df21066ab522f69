#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>

#include "caravan/config.hpp"
#include "caravan/error.hpp"
#include "caravan/reference_device.hpp"
#include "caravan/registry.hpp"
#include "tests/device/cases.hpp"
#include "tests/device/compare.hpp"

// Every device of this build on every problem. A device is made once in the process: libraries below it
// (Kokkos, CUDA) start once.
namespace caravan::testing {
namespace {

constexpr const char* kDevices = CARAVAN_TEST_DEVICES;  // "reference host …", from the build

/// Rows with and without a gap; 16 bytes in bf16, which vector loads of a GPU need.
std::vector<Problem> problems_of(DType compute) {
  std::vector<Problem> all = all_problems({.compute = compute});
  for (Problem& problem : all_problems({.compute = compute, .gap = compute == DType::f32 ? 3 : 8})) {
    problem.name += "_gap";
    all.push_back(std::move(problem));
  }
  return all;
}

/// A device and its problems, or why this machine has none.
struct Bench {
  explicit Bench(const std::string& name) {
    registry.add(reference_device_component());
    try {
      device.emplace(registry.create<Device>(name, Host{}, Config::map()));
      problems = problems_of((*device)->compute_dtype());
    } catch (const DeviceError& error) {
      refusal = error.message();
    }
  }

  Registry registry{{CARAVAN_PLUGIN_DIR}};
  std::optional<Made<Device>> device;
  std::vector<Problem> problems;
  std::string refusal;
};

Bench& bench_of(const std::string& name) {
  static std::map<std::string, std::unique_ptr<Bench>> benches;
  auto& bench = benches[name];
  if (!bench) bench = std::make_unique<Bench>(name);
  return *bench;
}

struct Case {
  std::string device;
  std::size_t problem;
  std::string name;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.device << " on " << c.name;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const std::vector<Problem> problems = problems_of(DType::f32);
  std::istringstream names(kDevices);
  for (std::string device; names >> device;) {
    for (std::size_t i = 0; i < problems.size(); ++i) cases.push_back({device, i, problems[i].name});
  }
  return cases;
}

/// GoogleTest takes letters, digits and underscores.
std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.device + "_" + info.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

class DeviceAgainstReference : public ::testing::TestWithParam<Case> {};

TEST_P(DeviceAgainstReference, Agrees) {
  Bench& bench = bench_of(GetParam().device);
  if (!bench.device) GTEST_SKIP() << bench.refusal;
  Device& device = **bench.device;

  EXPECT_TRUE(
      equals_reference(bench.problems.at(GetParam().problem), {.ops = device.ops(), .device = &device}));
}

INSTANTIATE_TEST_SUITE_P(All, DeviceAgainstReference, ::testing::ValuesIn(all_cases()), test_name);

}  // namespace
}  // namespace caravan::testing
