#include "io/safetensors/reader.hpp"
#include "io/safetensors/writer.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "io/files/convert.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::SafetensorsFile;
using io::SafetensorsWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> counted(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

TEST(Safetensors, WhatIsWrittenIsReadBackBitForBit) {
  TemporaryFolder folder;
  auto weights = counted(6);
  weights[2] = -0.0f;
  weights[3] = std::bit_cast<float>(0x7FC01234u);
  std::vector<std::int64_t> ids{1, -2, 1ll << 40};
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("w", TensorView(weights.data(), DType::f32, {2, 3}));
  writer.add("ids", TensorView(ids.data(), DType::i64, {3}));
  writer.set_metadata("format", "pt");
  writer.commit();

  const SafetensorsFile file(folder.file("a.safetensors"));
  EXPECT_THAT(file.names(), ElementsAre("ids", "w"));
  EXPECT_EQ(file.info("w").shape(), (Shape{2, 3}));
  EXPECT_EQ(file.info("w").dtype(), DType::f32);
  EXPECT_EQ(std::memcmp(file.raw("w").data(), weights.data(), 24), 0);
  EXPECT_EQ(file.read_as_i64("ids"), ids);
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

TEST(Safetensors, StridedViewsAreWrittenAsTheirElements) {
  TemporaryFolder folder;
  auto block = counted(24);
  const TensorView whole(block.data(), DType::f32, {4, 6});
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("columns", whole.slice(1, 2, 4));
  writer.commit();
  EXPECT_THAT(SafetensorsFile(folder.file("a.safetensors")).read_as_f32("columns"),
              ElementsAre(2.5f, 3.5f, 8.5f, 9.5f, 14.5f, 15.5f, 20.5f, 21.5f));
}

TEST(Safetensors, FilledTensorsAreMadeWhenTheyAreWritten) {
  TemporaryFolder folder;
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("made", DType::f32, Shape{2},
             [](const TensorView& to) { to.as<float>()[0] = to.as<float>()[1] = 7; });
  writer.commit();
  EXPECT_THAT(SafetensorsFile(folder.file("a.safetensors")).read_as_f32("made"), ElementsAre(7.f, 7.f));
}

TEST(Safetensors, ScalarsAndEmptyTensorsAreKept) {
  TemporaryFolder folder;
  float one = 1;
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("scalar", TensorView(&one, DType::f32, {}));
  writer.add("empty", TensorView(&one, DType::f32, {0, 4}));
  writer.commit();
  const SafetensorsFile file(folder.file("a.safetensors"));
  EXPECT_EQ(file.info("scalar").shape().rank(), 0);
  EXPECT_THAT(file.read_as_f32("scalar"), ElementsAre(1.f));
  EXPECT_EQ(file.info("empty").shape(), (Shape{0, 4}));
  EXPECT_TRUE(file.read_as_f32("empty").empty());
}

TEST(Safetensors, ANameIsTakenOnce) {
  float one = 1;
  SafetensorsWriter writer("/nowhere/a.safetensors");
  writer.add("w", TensorView(&one, DType::f32, {1}));
  EXPECT_THAT(message_of<IoError>([&] { writer.add("w", TensorView(&one, DType::f32, {1})); }),
              HasSubstr("tensor 'w' was added twice"));
}

TEST(Safetensors, AFailedWriteLeavesTheOldFileAndNothingBeside) {
  TemporaryFolder folder;
  spill(folder.file("a.safetensors"), "old");
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("w", DType::f32, Shape{2}, [](const TensorView&) { throw IoError("source is gone"); });
  EXPECT_EQ(message_of<IoError>([&] { writer.commit(); }), "source is gone");
  EXPECT_EQ(slurp(folder.file("a.safetensors")), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Safetensors, APartOfATransposedPlaceIsReadInPieces) {
  TemporaryFolder folder;
  constexpr std::int64_t kRows = 1500, kColumns = 2000;  // 12 MB: more than is read at once
  auto block = counted(kRows * kColumns);
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("w", TensorView(block.data(), DType::f32, {kRows, kColumns}));
  writer.commit();
  const SafetensorsFile file(folder.file("a.safetensors"));
  TensorView place = file.place("w");
  std::swap(place.strides[0], place.strides[1]);
  place.shape = Shape{kColumns, kRows};
  place = place.slice(0, 3, kColumns - 4);
  std::vector<float> read(static_cast<std::size_t>(place.count()));

  file.read_place(place, TensorView(read.data(), DType::f32, place.shape));
  for (std::int64_t c = 0; c < place.extent(0); ++c)
    for (std::int64_t r = 0; r < kRows; r += 7)
      ASSERT_EQ(read[static_cast<std::size_t>(c * kRows + r)],
                block[static_cast<std::size_t>(r * kColumns + c + 3)]);
}

TEST(Safetensors, AFileThatIsCutWhileItIsOpenIsAnErrorAndNoSignal) {
  TemporaryFolder folder;
  auto block = counted(100'000);
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("w", TensorView(block.data(), DType::f32, {100'000}));
  writer.commit();
  const SafetensorsFile file(folder.file("a.safetensors"));
  std::filesystem::resize_file(folder.file("a.safetensors"), 10'000);
  EXPECT_THAT(message_of<IoError>([&] { file.read_as_f32("w"); }),
              HasSubstr("a.safetensors ends at byte 10000"));
}

TEST(Convert, HalfAndBfloatBecomeTheFloatsTheyMean) {
  EXPECT_EQ(io::to_float(io::Half{0x3C00}), 1.0f);
  EXPECT_EQ(io::to_float(io::Half{0xC500}), -5.0f);
  EXPECT_EQ(io::to_float(io::Half{0x0001}), 0x1p-24f);
  EXPECT_EQ(io::to_float(io::Half{0x83FF}), -1023 * 0x1p-24f);
  EXPECT_EQ(io::to_float(io::Half{0x7BFF}), 65504.0f);
  EXPECT_EQ(io::to_float(io::Half{0xFC00}), -INFINITY);
  EXPECT_TRUE(std::isnan(io::to_float(io::Half{0x7E00})));
  EXPECT_EQ(io::to_float(io::Bf16{0x3F80}), 1.0f);
  EXPECT_EQ(io::to_float(io::Bf16{0x4049}), 3.140625f);
}

TEST(Convert, ATransposedViewIsReadAsTheTranspose) {
  auto block = counted(70 * 50);
  TensorView transposed(block.data(), DType::f32, {70, 50});
  transposed.shape = Shape{50, 70};
  transposed.strides = {1, 50, 0, 0};
  std::vector<float> to(70 * 50);
  io::copy_to_f32(transposed, TensorView(to.data(), DType::f32, {50, 70}));
  for (std::size_t r = 0; r < 50; ++r) {
    for (std::size_t c = 0; c < 70; ++c) ASSERT_EQ(to[r * 70 + c], block[c * 50 + r]) << r << " " << c;
  }
}

TEST(Safetensors, FloatsAreNotReadAsWholeNumbers) {
  TemporaryFolder folder;
  float one = 1;
  SafetensorsWriter writer(folder.file("a.safetensors"));
  writer.add("w", TensorView(&one, DType::f32, {1}));
  writer.commit();
  const SafetensorsFile file(folder.file("a.safetensors"));
  EXPECT_THAT(message_of<IoError>([&] { file.read_as_i64("w"); }),
              HasSubstr("cannot be read as whole numbers"));
  EXPECT_THAT(message_of<IoError>([&] { file.info("x"); }), HasSubstr("has no tensor 'x'"));
  std::vector<float> two(2);
  EXPECT_THAT(message_of<IoError>([&] { file.read_as_f32("w", two); }),
              HasSubstr("has 1 elements (2 were asked for)"));
}

TEST(Safetensors, ReadsAFileOfTheReferenceImplementation) {
  const char* reference = std::getenv("CARAVAN_REFERENCE_DIR");
  const std::string path =
      std::string(reference ? reference : "") + "/tiny_scout/expected_outputs.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no reference data at " << path;
  const SafetensorsFile file(path);
  EXPECT_EQ(file.info("logits_f64").shape(), (Shape{2, 40, 512}));
  EXPECT_EQ(file.info("input_ids").dtype(), DType::i64);
  const auto exact = file.read_as_f32("logits_f64"), single = file.read_as_f32("logits");
  for (std::size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(exact[i], single[i], 1e-4f);
}

}  // namespace
}  // namespace caravan::test
