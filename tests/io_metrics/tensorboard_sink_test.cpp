#include "io/metrics/tensorboard_sink.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <ctime>
#include <filesystem>
#include <regex>

#include "io/metrics/crc32c.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/io_metrics/event_reader.hpp"

namespace caravan::io {
namespace {

using test::Message;

/// Vectors of RFC 3720, appendix B.4, and the usual check value.
TEST(Crc32c, AgreesWithThePublishedVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(""), 0u);
}

class TensorBoard : public ::testing::Test {
 protected:
  std::vector<Message> write(std::int64_t first_step, const std::vector<StepRecord>& records) {
    TensorBoardSink sink(folder.path() + "/tb", first_step);
    for (const StepRecord& record : records) sink.write(record);
    path = sink.path();
    std::vector<Message> events;
    for (const std::string& record : test::read_records(test::slurp(path))) events.emplace_back(record);
    return events;
  }
  test::TemporaryFolder folder;
  std::string path;
};

double wall_time(const Message& event) {
  return std::bit_cast<double>(event.numbers.find(1)->second);
}

TEST_F(TensorBoard, TheFileHasTheNameThatTensorBoardLooksFor) {
  write(1, {});
  EXPECT_TRUE(std::regex_match(std::filesystem::path(path).filename().string(),
                               std::regex(R"(events\.out\.tfevents\.\d{10}\..+\.\d+)")))
      << path;
}

TEST_F(TensorBoard, AFileStartsWithVersionAndSession) {
  const auto events = write(17, {});

  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].texts.find(3)->second, "brain.Event:2");
  EXPECT_NEAR(wall_time(events[0]), static_cast<double>(std::time(nullptr)), 60.0);
  EXPECT_EQ(events[1].numbers.find(2)->second, 17u);
  EXPECT_EQ(Message(events[1].texts.find(7)->second).numbers.find(1)->second, 1u) << "SessionLog.START";
}

TEST_F(TensorBoard, EveryValueIsAScalarUnderItsKey) {
  StepRecord record;
  record.step = 123456;
  record.set(metric::kLoss, 2.75);
  record.set(metric::kTokensSeen, std::int64_t{1} << 40);

  const auto events = write(1, {record});

  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].numbers.find(2)->second, 123456u);
  const Message summary(events[2].texts.find(5)->second);
  std::map<std::string, float> scalars;
  for (const auto& [field, text] : summary.texts) {
    ASSERT_EQ(field, 1);
    const Message value(text);
    const auto bits = static_cast<std::uint32_t>(value.numbers.find(2)->second);
    scalars[value.texts.find(1)->second] = std::bit_cast<float>(bits);
  }
  EXPECT_EQ(scalars, (std::map<std::string, float>{{"loss", 2.75f}, {"tokens_seen", 0x1p40f}}));
}

TEST_F(TensorBoard, ALongRunStaysReadable) {
  std::vector<StepRecord> records(300);
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].step = static_cast<std::int64_t>(i);
    for (int key = 0; key < 20; ++key) records[i].set("layer." + std::to_string(key), 0.1 * key);
  }
  EXPECT_EQ(write(0, records).size(), 302u);
}

/// As protoc reads Event{step, summary{value{tag, tensor{dtype: DT_STRING, string_val}, metadata{plugin}}}}.
TEST_F(TensorBoard, ATextIsAStringOfTheTextPlugin) {
  TensorBoardSink sink(folder.path() + "/tb", 1);
  sink.write_text(
      {.step = 40, .name = "samples/0", .prompt = "a ``` b", .text = "then", .tokens = 1, .reason = "eos"});

  const Message event(test::read_records(test::slurp(sink.path())).back());
  EXPECT_EQ(event.numbers.find(2)->second, 40u);
  const Message value(Message(event.texts.find(5)->second).texts.find(1)->second);
  EXPECT_EQ(value.texts.find(1)->second, "samples/0");
  const Message tensor(value.texts.find(8)->second);
  EXPECT_EQ(tensor.numbers.find(1)->second, 7u) << "DT_STRING";
  EXPECT_EQ(tensor.texts.find(2)->second, "") << "a scalar";
  EXPECT_EQ(tensor.texts.find(8)->second, "````\na ``` b\n````\n\n```\nthen\n```\n");
  const Message metadata(value.texts.find(9)->second);
  EXPECT_EQ(Message(metadata.texts.find(1)->second).texts.find(1)->second, "text");
  EXPECT_EQ(metadata.numbers.find(4)->second, 2u) << "DATA_CLASS_TENSOR";
}

TEST_F(TensorBoard, AFolderThatCannotBeMadeIsNamed) {
  test::spill(folder.file("file"), "");
  EXPECT_EQ(test::message_of<IoError>([&] { TensorBoardSink sink(folder.file("file") + "/tb", 1); }),
            "cannot make folder " + folder.file("file") + "/tb (Not a directory)");
}

}  // namespace
}  // namespace caravan::io
