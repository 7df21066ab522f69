#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>

#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using io::CheckpointReader;
using io::CheckpointWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Checkpoint, ComesBackBitForBit) {
  TemporaryFolder folder;
  Sample sample(100);
  sample.weight[3] = -0.0f;
  const std::uint32_t signalling = 0x7FA00001u;
  std::memcpy(&sample.weight[5], &signalling, 4);
  const std::string path = sample.write(folder.path());
  EXPECT_EQ(path, folder.file("step-00000100"));
  const auto reader = CheckpointReader::open(path);
  std::vector<float> weight(64);
  reader.read("/model/w.weight", TensorView(weight.data(), DType::f32, {8, 8}));
  EXPECT_EQ(std::memcmp(weight.data(), sample.weight.data(), 256), 0);
}

TEST(Checkpoint, SaysWhatItIs) {
  TemporaryFolder folder;
  const auto reader = CheckpointReader::open(Sample(7).write(folder.path()) + "/checkpoint.h5");
  EXPECT_EQ(reader.step(), 7);
  EXPECT_EQ(reader.tokens_seen(), 7000);
  EXPECT_EQ(reader.layout(), "one rank");
  EXPECT_EQ(reader.creator(), "caravan test");
  EXPECT_EQ(reader.job_yaml(), "train: {steps: 10}\n");
  ASSERT_EQ(reader.tensors().size(), 2u);
  EXPECT_EQ(reader.tensors()[0].name, "/model/w.weight");
  EXPECT_EQ(reader.tensors()[0].shape, (Shape{8, 8}));
  EXPECT_TRUE(reader.has_attribute("/state/data_cursor"));
  EXPECT_FALSE(reader.has_attribute("/state/else"));
}

TEST(Checkpoint, StridedViewsAreStoredAsTheirElements) {
  TemporaryFolder folder;
  std::vector<float> block(24);
  std::iota(block.begin(), block.end(), 0.f);
  CheckpointWriter writer(folder.path(), {.step = 1}, 0);
  writer.tensor("/model/c", TensorView(block.data(), DType::f32, {4, 6}).slice(1, 1, 3));
  const auto reader = CheckpointReader::open(writer.commit());
  std::vector<float> stored(8), spread(16, -1.f);
  reader.read("/model/c", TensorView(stored.data(), DType::f32, {4, 2}));
  EXPECT_THAT(stored, ElementsAre(1, 2, 7, 8, 13, 14, 19, 20));
  reader.read("/model/c", TensorView(spread.data(), DType::f32, {4, 4}).slice(1, 0, 2));
  EXPECT_THAT(spread, ElementsAre(1, 2, -1, -1, 7, 8, -1, -1, 13, 14, -1, -1, 19, 20, -1, -1));
  std::vector<float> one(2);
  reader.read_block("/model/c", {2, 0}, TensorView(one.data(), DType::f32, {1, 2}));
  EXPECT_THAT(one, ElementsAre(13, 14));
}

TEST(Checkpoint, Bfloat16IsReadAsFloats) {
  TemporaryFolder folder;
  std::vector<std::uint16_t> halves{0x3F80, 0xC000, 0x4049};
  CheckpointWriter writer(folder.path(), {.step = 1}, 0);
  writer.tensor("/model/b", TensorView(halves.data(), DType::bf16, {3}));
  const auto reader = CheckpointReader::open(writer.commit());
  std::vector<float> values(3);
  reader.read("/model/b", TensorView(values.data(), DType::f32, {3}));
  EXPECT_THAT(values, ElementsAre(1.0f, -2.0f, 3.140625f));
  std::vector<std::int64_t> wrong(3);
  EXPECT_THAT(
      message_of<IoError>([&] { reader.read("/model/b", TensorView(wrong.data(), DType::i64, {3})); }),
      HasSubstr("/model/b is stored as bf16 (i64 was asked for)"));
}

TEST(Checkpoint, ScalarsAndEmptyTensorsAreKept) {
  TemporaryFolder folder;
  float one = 5;
  CheckpointWriter writer(folder.path(), {.step = 1}, 0);
  writer.tensor("/state/scalar", TensorView(&one, DType::f32, {}));
  writer.tensor("/state/empty", TensorView(&one, DType::f32, {0, 3}));
  const auto reader = CheckpointReader::open(writer.commit());
  float read = 0;
  reader.read("/state/scalar", TensorView(&read, DType::f32, {}));
  EXPECT_EQ(read, 5);
  EXPECT_EQ(reader.info("/state/empty").shape, (Shape{0, 3}));
}

TEST(Checkpoint, ValuesAreKeptToTheBitWithTheirKind) {
  TemporaryFolder folder;
  CheckpointWriter writer(folder.path(), {.step = 1, .values = {{"/state/low", INT64_MIN}}}, 0);
  writer.attribute("/state/third", 1.0 / 3);
  writer.attribute("/state/best", std::numeric_limits<double>::infinity());
  writer.attribute("/state/note", std::string("a \"text\"\n"));
  const auto reader = CheckpointReader::open(writer.commit());
  EXPECT_EQ(std::get<std::int64_t>(reader.attribute("/state/low")), INT64_MIN);
  EXPECT_EQ(std::get<double>(reader.attribute("/state/third")), 1.0 / 3);
  EXPECT_EQ(std::get<double>(reader.attribute("/state/best")), std::numeric_limits<double>::infinity());
  EXPECT_EQ(std::get<std::string>(reader.attribute("/state/note")), "a \"text\"\n");
}

TEST(Checkpoint, MissingTensorsAndWrongShapesAreNamed) {
  TemporaryFolder folder;
  const auto reader = CheckpointReader::open(Sample(1).write(folder.path()));
  std::vector<float> weight(64);
  EXPECT_THAT(message_of<IoError>([&] {
                reader.read("/model/w.weights", TensorView(weight.data(), DType::f32, {8, 8}));
              }),
              HasSubstr("has no tensor /model/w.weights. Did you mean /model/w.weight?"));
  EXPECT_THAT(message_of<IoError>([&] {
                reader.read("/model/w.weight", TensorView(weight.data(), DType::f32, {4, 16}));
              }),
              HasSubstr("/model/w.weight has shape [8, 8] in " + folder.file("step-00000001") +
                        " ([4, 16] was asked for)"));
  EXPECT_THAT(message_of<IoError>([&] { reader.attribute("/state/x"); }), HasSubstr("has no value /state/x"));
}

TEST(Checkpoint, WithoutACommitNothingIsLeft) {
  TemporaryFolder folder;
  {
    CheckpointWriter writer(folder.path(), {.step = 1}, 0);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, AStepIsWrittenAgainInOneExchange) {
  TemporaryFolder folder;
  Sample first(5), second(5);
  second.weight[0] = 99;
  first.write(folder.path());
  second.write(folder.path());
  EXPECT_TRUE(second.is_in(folder.file("step-00000005")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(Checkpoint, OddNamesAreRefusedAndEndTheWriting) {
  TemporaryFolder folder;
  float one = 1;
  for (const char* name : {"model/x", "/else/x", "/model/", "/model/a//b", "/model/./a", "/model/a b"}) {
    CheckpointWriter writer(folder.path(), {.step = 1}, 0);
    EXPECT_NE(message_of<IoError>([&] { writer.tensor(name, TensorView(&one, DType::f32, {1})); }), "")
        << name;
    EXPECT_THAT(message_of<IoError>([&] { writer.commit(); }), HasSubstr("given up before"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, ANameIsTakenOnce) {
  TemporaryFolder folder;
  float one = 1;
  CheckpointWriter writer(folder.path(), {.step = 1}, 0);
  writer.tensor("/model/x", TensorView(&one, DType::f32, {1}));
  EXPECT_THAT(message_of<IoError>([&] { writer.tensor("/model/x", TensorView(&one, DType::f32, {1})); }),
              HasSubstr("[0:1] of /model/x is stored twice"));
}

}  // namespace
}  // namespace caravan::test
