#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "io/data/shard_manifest.hpp"
#include "io/files/sealed_json.hpp"
#include "tests/text/shard_folder.hpp"

// Shards with their manifest, damaged and forged.
namespace caravan::io {
namespace {

using ::testing::HasSubstr;

/// A folder with one sound shard and its manifest.
class SealedShard : public testing::Test {
 protected:
  void SetUp() override { write(folder_.file("d"), {{1, 2, 3}, {4, 5}}); }

  std::string refusal() const { return complaint(folder_.file("d")); }
  /// Writes a manifest with one value changed and its own digest right, as a forger would.
  void forge(const std::string& pointer, const nlohmann::json& value) const {
    nlohmann::json body = read_sealed_json(manifest_, 1 << 20);
    body[nlohmann::json::json_pointer(pointer)] = value;
    test::spill(manifest_, seal_json(body));
  }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.file("d/tokens-00000-of-00001.h5");
  std::string manifest_ = folder_.file("d/tokens-manifest.json");
};

TEST_F(SealedShard, IsRead) {
  EXPECT_EQ(refusal(), "");
}

TEST_F(SealedShard, WithAByteChangedAnywhereIsRefused) {
  const std::string sound = test::slurp(path_);
  for (std::size_t at = 0; at < sound.size(); ++at) {
    std::string changed = sound;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    test::spill(path_, changed);
    EXPECT_THAT(refusal(), HasSubstr(path_ + " is damaged ")) << at;
    at += sound.size() / 97;
  }
}

TEST_F(SealedShard, CutOrGrownIsRefused) {
  const std::string sound = test::slurp(path_);
  test::spill(path_, sound.substr(0, sound.size() - 1));
  EXPECT_THAT(refusal(), HasSubstr("bytes instead of"));
  test::spill(path_, sound + "x");
  EXPECT_THAT(refusal(), HasSubstr("(changed)"));
}

TEST_F(SealedShard, WithADamagedManifestIsRefused) {
  const std::string sound = test::slurp(manifest_);
  for (std::size_t at = 0; at < sound.size(); at += 7) {
    std::string changed = sound;
    changed[at] = static_cast<char>(changed[at] ^ 0x08);
    test::spill(manifest_, changed);
    EXPECT_THAT(refusal(), HasSubstr("tokens-manifest.json")) << at;
  }
  test::spill(manifest_, sound.substr(0, sound.size() / 2));
  EXPECT_THAT(refusal(), HasSubstr("truncated"));
}

TEST_F(SealedShard, WithAManifestThatSaysWhatCannotBeIsRefused) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  const std::string shard = "/shards/0", sound = test::slurp(manifest_);
  const std::vector<std::tuple<std::string, nlohmann::json, std::string>> cases{
      {shard + "/tokens/offset", kHuge, "10 bytes from 18446744073709551615 are no elements"},
      {shard + "/tokens/bytes", kHuge, "are no elements of 2 bytes"},
      {shard + "/tokens/bytes", 9, "9 bytes from"},
      {shard + "/tokens/bytes", 0, "1 digests of blocks, which 0 bytes contradict"},
      {shard + "/tokens/offset", -1, "-1 is no whole number from 0 on"},
      {shard + "/tokens/offset", 0, "is damaged outside its tokens"},
      {shard + "/document_starts/offset", 0, "damaged"},
      {shard + "/bytes", kHuge, "are more than a file has"},
      {shard + "/bytes", 1e300, "is no whole number"},
      {shard + "/name", "../x.h5", "'../x.h5' stands in its place"},
      {shard + "/type", "f32", "'f32' is no type of tokens"},
      {"/shards", nlohmann::json::array(), "lists no shard"},
      {"/vocab_size", 0, "vocab_size 0"},
      {"/vocab_size", std::int64_t{1} << 31, "vocab_size 2147483648"},
      {"/format_version", 2, "has format version 2 (this caravan reads 1)"},
      {"/block_bytes", 5, "blocks of another size"},
      {"/identity", 5, "malformed"}};
  for (const auto& [pointer, value, message] : cases) {
    forge(pointer, value);
    EXPECT_THAT(refusal(), HasSubstr(message)) << pointer << " = " << value;
    test::spill(manifest_, sound);
  }
}

TEST_F(SealedShard, ThatIsCutWhileItIsOpenIsAnErrorAndNoSignal) {
  const TokenShards shards(folder_.file("d"));
  std::filesystem::resize_file(path_, 100);
  EXPECT_THAT(test::message_of<IoError>([&] { all_of(shards); }), HasSubstr(path_ + " ends at byte"));
}

TEST_F(SealedShard, OfAnotherSetThanItsManifestIsRefused) {
  std::filesystem::rename(path_, folder_.file("d/tokens-00000-of-00002.h5"));
  EXPECT_THAT(refusal(), HasSubstr("d holds shards of a set of 2 (tokens-manifest.json lists 1)"));
  write(folder_.file("e"), {Ids(15, 1)}, 100, 10);
  std::filesystem::remove(folder_.file("e/tokens-00001-of-00002.h5"));
  EXPECT_THAT(complaint(folder_.file("e")),
              HasSubstr("tokens-00001-of-00002.h5 (No such file or directory)"));
}

TEST(SealedBlocks, AreComparedWhenTheyAreRead) {
  const test::TemporaryFolder folder;
  constexpr std::int64_t kTokensOfABlock = static_cast<std::int64_t>(kShardBlockBytes) / 2;
  write(folder.file("d"), {Ids(3 * kTokensOfABlock, 7)}, 100, 4 * kTokensOfABlock);
  const std::string path = folder.file("d/tokens-00000-of-00001.h5");
  const RangeRecord tokens = read_shard_manifest(folder.file("d")).shards.front().tokens;
  std::string bytes = test::slurp(path);
  bytes[tokens.offset + kShardBlockBytes + 1000] ^= 1;  // in the second of three
  test::spill(path, bytes);
  const TokenShards shards(folder.file("d"));
  Ids some(100);

  EXPECT_EQ(test::message_of<IoError>([&] { shards.read(0, some); }), "");
  EXPECT_EQ(test::message_of<IoError>([&] { shards.read(2 * kTokensOfABlock, some); }), "");
  EXPECT_THAT(some, ::testing::Each(7));
  const auto across = [&] { shards.read(kTokensOfABlock - 50, some); };
  EXPECT_THAT(test::message_of<IoError>(across),
              HasSubstr("(the digest of block 1 differs from the manifest's)"));
  EXPECT_NE(test::message_of<IoError>(across), "") << "it stays damaged";
}

}  // namespace
}  // namespace caravan::io
