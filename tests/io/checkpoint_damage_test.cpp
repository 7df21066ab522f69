#include "caravan/error.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <limits>

#include <cstring>
#include <nlohmann/json.hpp>

#include "io/files/digest.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::CheckpointReader;
using ::testing::AllOf;
using ::testing::HasSubstr;

class DamagedCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override { path_ = Sample(3).write(folder_.path()); }
  std::string data() const { return path_ + "/checkpoint.h5"; }
  std::string refusal(io::Check check = io::Check::everything) const {
    return message_of<IoError>([&] { CheckpointReader::open(path_, check); });
  }
  /// In place: rewriting a file makes ext4 wait for the disk.
  void flip(std::uint64_t at) const {
    std::fstream file(data(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char flipped = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(flipped);
  }
  /// Rewrites the manifest, with the digest that belongs to the change.
  template <class Change>
  void forge(Change&& change) const {
    auto whole = nlohmann::json::parse(slurp(path_ + "/manifest.json"));
    change(whole["manifest"]);
    const std::string body = whole["manifest"].dump();
    whole["xxh3"] = io::digest_text(std::as_bytes(std::span(body)));
    spill(path_ + "/manifest.json", whole.dump() + "\n");
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(DamagedCheckpoint, AFlippedBitOfATensorIsFoundAndTheTensorNamed) {
  const auto offset = offset_of(path_, "/optimizer/m/w.weight");
  flip(offset + 17);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("is damaged in /optimizer/m/w.weight"), ::testing::Not(HasSubstr("/model/w"))));
  EXPECT_EQ(refusal(io::Check::structure), "");
}

TEST_F(DamagedCheckpoint, EveryFlippedByteIsFound) {
  const auto size = std::filesystem::file_size(data());
  for (std::uint64_t at = 0; at < size; at += 7) {
    flip(at);
    EXPECT_THAT(refusal(), HasSubstr("is damaged")) << "byte " << at;
    flip(at);
  }
  EXPECT_EQ(refusal(), "");
}

TEST_F(DamagedCheckpoint, ATruncatedFileIsCalledTruncated) {
  const auto size = std::filesystem::file_size(data());
  std::filesystem::resize_file(data(), size - 1);
  EXPECT_THAT(refusal(), HasSubstr(fmt::format("has {} bytes instead of {} (truncated)", size - 1, size)));
  std::filesystem::remove(data());
  EXPECT_THAT(refusal(), HasSubstr("checkpoint.h5 (No such file or directory)"));
}

TEST_F(DamagedCheckpoint, AForeignHdf5FileIsNotOpened) {
  std::filesystem::remove(path_ + "/manifest.json");
  EXPECT_THAT(refusal(), HasSubstr("has no manifest.json (incomplete, or not a checkpoint of caravan)"));
  EXPECT_THAT(message_of<IoError>([] { CheckpointReader::open("/nowhere/x"); }),
              HasSubstr("/nowhere/x does not exist"));
}

TEST_F(DamagedCheckpoint, AChangedManifestIsFound) {
  std::string text = slurp(path_ + "/manifest.json");
  text[text.find("\"step\": 3") + 8] = '4';
  spill(path_ + "/manifest.json", text);
  EXPECT_THAT(refusal(), HasSubstr("does not have the digest that it carries (damaged)"));
}

TEST_F(DamagedCheckpoint, ANewerFormatIsRefusedByItsNumber) {
  forge([](auto& manifest) { manifest["format_version"] = 4; });
  EXPECT_THAT(refusal(), HasSubstr("has format version 4 (this caravan reads 2 to 3). Use a newer caravan?"));
}

TEST_F(DamagedCheckpoint, TheFormatBeforeHadRowsAndIsRead) {
  forge([](auto& manifest) {
    manifest["format_version"] = 2;
    for (auto& piece : manifest["files"][0]["pieces"]) {
      piece["row"] = piece["origin"].empty() ? nlohmann::json(0) : piece["origin"][0];
      piece["rows"] = piece["extents"].empty() ? nlohmann::json(1) : piece["extents"][0];
      piece.erase("origin");
      piece.erase("extents");
    }
  });
  EXPECT_EQ(refusal(), "");
  const auto reader = CheckpointReader::open(path_);
  EXPECT_EQ(reader.format(), 2);
  forge([](auto& manifest) { manifest["files"][0]["pieces"][0]["rows"] = 1ll << 62; });
  EXPECT_THAT(refusal(), HasSubstr("has no box of"));
}

TEST_F(DamagedCheckpoint, HostileManifestsAreRefused) {
  const std::string good = slurp(path_ + "/manifest.json");
  const auto expect = [&](auto change, const char* message) {
    forge(change);
    EXPECT_THAT(refusal(), HasSubstr(message));
    spill(path_ + "/manifest.json", good);
  };
  expect([](auto& m) { m["files"][0]["name"] = "../x.h5"; },
         "not the name of an HDF5 file in the same folder");
  expect([](auto& m) { m["files"] = nlohmann::json::array(); }, "lists no file");
  expect([](auto& m) { m["files"][0]["pieces"][0]["offset"] = ~0ull - 8; }, "ends behind checkpoint.h5");
  expect([](auto& m) { m["files"][0]["pieces"][0]["offset"] = m["files"][0]["pieces"][1]["offset"]; },
         "overlaps");
  expect(
      [](auto& m) {
        m["files"][0]["pieces"][0]["shape"] = {1ll << 40, 1ll << 40};
      },
      "does not fit 63 bits");
  expect(
      [](auto& m) {
        m["files"][0]["pieces"][0]["dtype"] = "f64";
        m["files"][0]["pieces"][0]["shape"] = {1ll << 61};
      },
      "its bytes do not fit 64 bits");
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  expect([&](auto& m) { m["files"][0]["pieces"][0]["origin"][0] = most; }, "has no box of");
  expect([&](auto& m) { m["files"][0]["pieces"][0]["extents"][0] = most; }, "has no box of");
  expect([&](auto& m) { m["files"][0]["pieces"][0]["extents"][0] = -1; }, "has a negative extent");
  expect([&](auto& m) { m["files"][0]["pieces"][0]["extents"].push_back(1); }, "has no box of");
  expect([&](auto& m) { m["files"][0]["pieces"][0]["origin"] = {0, 0, 0}; }, "and an origin of 3");
  expect([](auto& m) { m["files"].push_back(m["files"][0]); }, "lists checkpoint.h5 twice");
  expect(
      [](auto& m) {
        m["values"]["/state/x"] = {{"int", 0.5}};
      },
      "the value /state/x is neither an int, nor a float, nor a text");
  expect([](auto& m) { m["values"]["/state/x"] = {{"float", "0.5x"}}; }, "is '0.5x' (no number)");
  expect([](auto& m) { m.erase("job"); }, "is malformed");
  expect([](auto& m) { m["files"][0]["pieces"][0]["dtype"] = "f31"; }, "unknown dtype 'f31'");
  expect([](auto& m) { m["files"][0]["pieces"][0].erase("blocks_xxh3"); }, "is malformed");
  spill(path_ + "/manifest.json", std::string(1000, '[') + "}\n");
  EXPECT_THAT(refusal(), HasSubstr("nested more than 64 levels"));
}

TEST(FileRecordText, OfAnotherFormIsRefused) {
  EXPECT_THAT(message_of<IoError>([] { io::file_record_from("[1]"); }),
              HasSubstr("a file's record is malformed"));
}

}  // namespace
}  // namespace caravan::test
