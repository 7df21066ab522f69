#include "jobs/state/weight_loader.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "caravan/error.hpp"
#include "core/device/reference_device.hpp"
#include "io/files/convert.hpp"
#include "tests/support/apart_device.hpp"
#include "tests/support/message_of.hpp"

// Weights that are read piece by piece on threads are those that the file has.
namespace caravan::jobs {
namespace {

using caravan::testing::ApartDevice;
using caravan::testing::message_of;

constexpr std::int64_t kExperts = 3, kRows = 5, kColumns = 7;

/// Two parts beside each other, as gate and up of experts are; element i of each is i, or −i.
void declare(ParameterStore& store) {
  ParameterSpec spec{"experts", {kExperts, 2 * kRows, kColumns}, ParameterKind::expert, 1, {}};
  spec.parts.push_back({"gate", kRows, {}});
  spec.parts.push_back({"up", kRows, {}});
  store.declare(std::move(spec));
}

void read(const std::string& part, const Box& box, const TensorView& to, int /*threads*/) {
  std::vector<float> values(static_cast<std::size_t>(kExperts * kRows * kColumns));
  std::iota(values.begin(), values.end(), 0.f);
  if (part == "up")
    for (float& value : values) value = -value;
  io::copy_elements(block_of(TensorView(values.data(), DType::f32, {kExperts, kRows, kColumns}), box), to);
}

std::vector<float> expected() {
  std::vector<float> values;
  for (std::int64_t expert = 0; expert < kExperts; ++expert)
    for (const float sign : {1.f, -1.f})
      for (std::int64_t i = 0; i < kRows * kColumns; ++i)
        values.push_back(sign * static_cast<float>(expert * kRows * kColumns + i));
  return values;
}

std::vector<float> weights_of(Device& device, const ParameterStore& store) {
  const TensorView& weight = store.fragments().front().weight;
  std::vector<std::byte> bytes(weight.bytes());
  device.copy_to_host(Lane::compute, bytes.data(), weight.data, bytes.size());
  device.synchronize();
  std::vector<float> values(static_cast<std::size_t>(weight.count()));
  io::copy_to_f32(TensorView(bytes.data(), weight.dtype, weight.shape),
                  TensorView(values.data(), DType::f32, weight.shape));
  return values;
}

void expect_loaded(Device& device, DType compute, DType stored, std::size_t piece_bytes,
                   ParameterStore::Content content) {
  ParameterStore store(compute);
  declare(store);
  store.allocate(device, content, 0);
  WeightLoader(device, store, piece_bytes)
      .load(
          store.fragments().front(), [&](const std::string&) { return stored; }, read);
  EXPECT_EQ(weights_of(device, store), expected()) << piece_bytes;
}

TEST(WeightLoader, PiecesOfAnySizeAreTheWholeOnAnyDevice) {
  using Content = ParameterStore::Content;
  for (const std::size_t piece : {4u, 100u, 150u, 300u, 1u << 20}) {
    for (const DType stored : {DType::bf16, DType::f32}) {
      for (const Content content : {Content::weights, Content::weights_and_gradients}) {
        ApartDevice apart;
        ReferenceDevice reference{Host{}, Config::map()};
        expect_loaded(apart, DType::bf16, stored, piece, content);
        expect_loaded(apart, DType::f32, stored, piece, content);
        expect_loaded(reference, DType::bf16, stored, piece, content);
        expect_loaded(reference, DType::f32, stored, piece, content);
      }
    }
  }
}

TEST(WeightLoader, WhatCannotBeReadIsSaid) {
  ApartDevice device;
  ParameterStore store(DType::bf16);
  declare(store);
  store.allocate(device, ParameterStore::Content::weights, 0);
  WeightLoader loader(device, store);
  const auto fail = [](const std::string& part, const Box&, const TensorView&, int) {
    throw IoError(part + " is damaged");
  };
  const auto load = [&] {
    loader.load(
        store.fragments().front(), [](const std::string&) { return DType::bf16; }, fail);
  };
  EXPECT_THAT(message_of<IoError>(load), ::testing::HasSubstr("is damaged"));
}

}  // namespace
}  // namespace caravan::jobs
