#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "tests/run/allocation_count.hpp"
#include "tests/run/cached_forward.hpp"
#include "tests/run/mutated_device.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/run/trainer_fixture.hpp"

// Memory is what the plan says, all of it is taken before the first step, and nothing that lives at once
// shares a byte.
namespace caravan::testing {
namespace {

std::string name_of_variant(const ::testing::TestParamInfo<tiny::Variant>& test) {
  return test.param.name;
}

/// Whose allocations on a device are left out: the reference's operators are meant to read like formulas. On
/// any other device everybody's count.
std::span<const char* const> left_out(std::string_view device) {
  static constexpr const char* kReference[] = {"ReferenceOps"};
  if (device == "reference") return kReference;
  return {};
}

class Allocations : public ::testing::TestWithParam<tiny::Variant> {
 protected:
  static void expect_none_after_the_first_step(const std::string& device,
                                               const RecomputePlan& recompute = {}) {
    TestModel model(tiny::config(GetParam().assignments), {.device = device, .slots = 2});
    tiny::fill(model, 41);
    TestTrainer trainer(model, {.shape = {1, 7, Phase::train}, .microbatches = 4, .recompute = recompute});
    const std::vector<TestBatch> batches = split_sequences(random_batch(4, 7, tiny::kVocabulary, 2));
    std::vector<MicroBatch> views;
    for (const TestBatch& batch : batches) views.push_back(batch.view());
    trainer.run(views, {.step = 1, .lr = 1e-3, .max_norm = 1, .global_sequences = 4});
    AllocationCount heap(left_out(device));
    for (std::int64_t step = 2; step < 5; ++step) {
      trainer.run(views, {.step = step, .lr = 1e-3, .max_norm = 1, .global_sequences = 4});
    }
    const long count = heap.count();
    EXPECT_EQ(count, 0) << heap.first_caller();
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, Allocations, ::testing::ValuesIn(tiny::variants()), name_of_variant);

TEST_P(Allocations, of_a_step_happen_in_the_first_only) {
  expect_none_after_the_first_step("reference");
}

TEST_P(Allocations, of_a_step_on_the_host_device_happen_in_the_first_only) {
  if (devices().back() != "host") GTEST_SKIP() << "this build has no host device";
  expect_none_after_the_first_step("host");
}

TEST_P(Allocations, of_a_step_that_recomputes_happen_in_the_first_only) {
  TestModel model(tiny::config(GetParam().assignments));
  RecomputePlan recompute(model.stage().layers().size());
  for (std::size_t layer = 1; layer + 1 < recompute.size(); ++layer)
    recompute[layer] = {true, layer % 2 == 1, {"norm"}};
  expect_none_after_the_first_step(devices().back(), recompute);
}

TEST(AllocationCounter, sees_an_allocation) {
  AllocationCount heap;
  const auto made = std::make_unique<std::vector<int>>(100);
  EXPECT_EQ(heap.count(), 2);
  EXPECT_FALSE(heap.first_caller().empty());
}

class DecodeAllocations : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, DecodeAllocations, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

TEST_P(DecodeAllocations, of_a_token_happen_in_the_first_only) {
  TestModel model(tiny::config(), {.device = GetParam()});
  tiny::fill(model, 41);
  Decoder decoder(model.device(), model.stage(), decode_plan(model, 2, 16, 2));
  const auto start = [&](int slot) {
    const std::int32_t pages = slot * 4;
    decoder.begin({slot, {pages, pages + 1, pages + 2, pages + 3}, {slot}}, {{.temperature = 0}, 16, {}});
  };
  start(0), start(1);
  const auto step = [&](std::int32_t position) {
    const DecodeRow rows[] = {{3, 0, position, true}, {4, 1, position, true}};
    decoder.post(rows);
    decoder.await();
  };
  step(0);
  AllocationCount heap(left_out(GetParam()));
  for (std::int32_t position = 1; position < 8; ++position) step(position);
  for (std::int32_t position = 8; position < 16; ++position) {
    decoder.post_again();
    decoder.await();
  }
  const long count = heap.count();
  EXPECT_EQ(count, 0) << heap.first_caller();
}

/// Knows how much was asked of it.
class MeteredDevice final : public DeviceWith<ReferenceOps> {
 public:
  void* allocate(std::size_t bytes, std::string_view what) override {
    bytes_ += bytes;
    return DeviceWith::allocate(bytes, what);
  }
  std::size_t since(std::size_t before) const { return bytes_ - before; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

class MemoryPlan : public ::testing::TestWithParam<tiny::Variant> {};
INSTANTIATE_TEST_SUITE_P(Variants, MemoryPlan, ::testing::ValuesIn(tiny::variants()), name_of_variant);

TEST_P(MemoryPlan, is_what_a_model_takes) {
  MeteredDevice device;
  TestModel model(tiny::config(GetParam().assignments), {.on = &device, .slots = 2});
  const auto planned = model.parameters().memory(ParameterStore::Content::weights_and_gradients, 2);
  EXPECT_EQ(device.bytes(), planned.total());
  EXPECT_EQ(planned.gradients, planned.weights);
  EXPECT_EQ(planned.slots, 2 * planned.weights);
  EXPECT_GE(planned.weights, 4 * static_cast<std::size_t>(model.parameters().count()));
}

TEST_P(MemoryPlan, is_what_a_stash_takes) {
  MeteredDevice device;
  TestModel model(tiny::config(GetParam().assignments), {.on = &device});
  const auto& layers = model.stage().layers();
  for (StashMode mode : {StashMode::inference, StashMode::fused, StashMode::split}) {
    const StashLayout layout(layers, {2, 7, mode == StashMode::inference ? Phase::evaluate : Phase::train},
                             mode, 12);
    for (int in_flight : {1, 3}) {
      const std::size_t before = device.bytes();
      const Stash stash(device, layout, in_flight);
      EXPECT_EQ(stash.bytes(), device.since(before));
      EXPECT_GE(stash.bytes(), layout.total_bytes(in_flight));
      EXPECT_LE(stash.bytes(), layout.total_bytes(in_flight) + 64);
    }
    const std::size_t each = layout.bytes(StashLayout::kept) + layout.bytes(StashLayout::deferred);
    EXPECT_EQ(layout.total_bytes(3) - layout.total_bytes(1), 2 * each);
  }
}

TEST_P(MemoryPlan, needs_least_for_inference_and_most_for_late_weight_gradients) {
  TestModel model(tiny::config(GetParam().assignments));
  const auto& layers = model.stage().layers();
  const StashLayout inference(layers, {2, 7, Phase::evaluate}, StashMode::inference, 12);
  const StashLayout fused(layers, {2, 7, Phase::train}, StashMode::fused, 12);
  const StashLayout split(layers, {2, 7, Phase::train}, StashMode::split, 12);
  EXPECT_LT(inference.total_bytes(1), fused.total_bytes(1));
  EXPECT_LT(fused.total_bytes(1), split.total_bytes(1));
}

/// A range of bytes in one region, and what lies there.
struct Extent {
  std::size_t begin, end;
  std::string what;
};

class Overlap {
 public:
  void add(const StashLayout::Address& address, const std::string& what) {
    const std::size_t bytes = address.shape.rank() == 0
                                  ? 0
                                  : static_cast<std::size_t>(address.shape.count()) * size_of(address.dtype);
    if (bytes > 0) extents_[address.region].push_back({address.offset, address.offset + bytes, what});
  }
  void expect_none(const StashLayout& layout) {
    for (int region = 0; region < StashLayout::kRegions; ++region) {
      auto& extents = extents_[region];
      std::sort(extents.begin(), extents.end(),
                [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
      for (std::size_t i = 1; i < extents.size(); ++i) {
        EXPECT_LE(extents[i - 1].end, extents[i].begin) << extents[i - 1].what << " and " << extents[i].what;
      }
      const std::size_t end = extents.empty() ? 0 : extents.back().end;
      EXPECT_LE(end, layout.bytes(static_cast<StashLayout::Region>(region)));
    }
  }

 private:
  std::vector<Extent> extents_[StashLayout::kRegions];
};

/// Everything that a layer sees while one of its segments runs.
void add_layer(Overlap& overlap, const StashLayout& layout, std::size_t index) {
  const StashLayout::LayerAddresses& addresses = layout.layer(index);
  const std::string name = "layer " + std::to_string(index);
  overlap.add(addresses.x, name + " x");
  overlap.add(addresses.y, name + " y");
  overlap.add(addresses.dx, name + " dx");
  overlap.add(addresses.dy, name + " dy");
  for (std::size_t entry = 0; entry < addresses.entries.size(); ++entry) {
    overlap.add(addresses.entries[entry], name + " entry " + std::to_string(entry));
  }
}

TEST_P(MemoryPlan, keeps_apart_what_a_layer_uses_at_once) {
  TestModel model(tiny::config(GetParam().assignments));
  for (StashMode mode : {StashMode::inference, StashMode::fused, StashMode::split}) {
    const StashLayout layout(model.stage().layers(),
                             {2, 7, mode == StashMode::inference ? Phase::evaluate : Phase::train}, mode, 12);
    for (std::size_t index = 0; index < layout.num_layers(); ++index) {
      Overlap overlap;
      add_layer(overlap, layout, index);
      overlap.expect_none(layout);
    }
  }
}

TEST_P(MemoryPlan, keeps_apart_what_all_layers_keep_until_backward) {
  TestModel model(tiny::config(GetParam().assignments));
  const StashLayout layout(model.stage().layers(), {2, 7, Phase::train}, StashMode::split, 12);
  Overlap overlap;
  auto add_lasting = [&](const StashLayout::Address& address, const std::string& what) {
    if (address.region == StashLayout::kept || address.region == StashLayout::deferred)
      overlap.add(address, what);
  };
  for (std::size_t index = 0; index < layout.num_layers(); ++index) {
    const StashLayout::LayerAddresses& addresses = layout.layer(index);
    add_lasting(addresses.y, "output of layer " + std::to_string(index));
    add_lasting(addresses.dy, "gradient of layer " + std::to_string(index));
    for (const StashLayout::Address& entry : addresses.entries)
      add_lasting(entry, "a entry of layer " + std::to_string(index));
  }
  overlap.expect_none(layout);
}

}  // namespace
}  // namespace caravan::testing
